//! Who connects to the agent's socket, and what they are told.
//!
//! # Theory of operation
//! Who has something to say says it at once, and is given a moment for it. `look` is a poke; a request of HTTP (RFC 9110, RFC 9112) gets its answer, which is the metrics, whatever
//! is asked about them, or that there is nothing else; everybody else is told how things are, in one line of JSON. Then the agent hangs up.
use crate::{metrics, poke::Pokes, status::Status};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    time::{sleep, timeout},
};

/// Answers everyone.
pub(crate) async fn serve(listener: UnixListener, status: Status, pokes: Pokes) {
    loop {
        match listener.accept().await {
            Ok((caller, _)) => drop(tokio::spawn(hear(caller, status.clone(), pokes.clone()))),
            // No file descriptor is left, most likely.
            Err(_) => sleep(PATIENCE).await,
        }
    }
}

async fn hear(mut caller: UnixStream, status: Status, pokes: Pokes) {
    let talk = async {
        let said = words(&mut caller).await;
        pokes.hear(&said);
        let answer = http(&said, &status).unwrap_or_else(|| status.answer());
        // Who pokes does not listen.
        let _told = caller.write_all(&answer).await;
        let _told = caller.shutdown().await;
    };
    // Who does not listen is let go.
    let _over = timeout(PATIENCE, talk).await;
}

/// What the caller says first, which may be nothing; of HTTP the whole head.
async fn words(caller: &mut UnixStream) -> Vec<u8> {
    let mut said = Vec::new();
    let all =
        async { while !is_whole(&said) && caller.read_buf(&mut said).await.is_ok_and(|more| more > 0) {} };
    let _moment = timeout(MOMENT, all).await;
    said
}

fn is_whole(said: &[u8]) -> bool {
    let has_ended = match request(said) {
        Some(_) => said.windows(END.len()).any(|end| end == END),
        None => said.contains(&b'\n'),
    };
    has_ended || said.len() >= LONGEST
}

/// The method of a request of HTTP, and the path that it is about, without the query.
fn request(said: &[u8]) -> Option<(&[u8], &[u8])> {
    let (line, _) = said.split_at_checked(said.iter().position(|byte| *byte == b'\n')?)?;
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let path = target.split(|byte| *byte == b'?').next()?;
    version.starts_with(b"HTTP/").then_some((method, path))
}

/// The answer to a request of HTTP; none to anything else.
fn http(said: &[u8], status: &Status) -> Option<Vec<u8>> {
    let (method, path) = request(said)?;
    let (outcome, body) = match (method, path) {
        (b"GET" | b"HEAD", b"/metrics") => ("200 OK", metrics::text(&status.all())),
        (b"GET" | b"HEAD", _) => ("404 Not Found", "there is /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed\r\nAllow: GET, HEAD", "there is GET\n".to_owned()),
    };
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {outcome}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let body = if method == b"HEAD" { String::new() } else { body };
    Some([head, body].concat().into_bytes())
}

const END: &[u8] = b"\r\n\r\n";

/// Of what somebody says.
const LONGEST: usize = 8192;

/// How long it takes to begin to speak.
const MOMENT: Duration = Duration::from_millis(100);

/// How long a caller may take in all.
const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::runtime::Builder;

    #[test]
    fn who_asks_for_metrics_gets_them_and_everybody_else_one_line() {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let ask = async |words: &str| {
                let (mut caller, agent) = UnixStream::pair().unwrap();
                let pokes = Pokes::default();
                let hearing = tokio::spawn(hear(agent, Status::default(), pokes.clone()));
                caller.write_all(words.as_bytes()).await.unwrap();
                let mut answer = String::new();
                caller.read_to_string(&mut answer).await.unwrap();
                hearing.await.unwrap();
                (answer, pokes.clone().wait(Duration::ZERO).await)
            };
            let request = |line: &str| format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n");
            for line in ["GET /metrics", "GET /metrics?", "GET /metrics?name[]=up"] {
                let (answer, poked) = ask(&request(line)).await;
                assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && !poked, "{line}: {answer}");
                assert!(answer.contains("\r\n\r\n# HELP sealane_store_heard "), "{line}: {answer}");
            }
            // As long as that, and without it.
            let (whole, head) =
                (ask(&request("GET /metrics")).await.0, ask(&request("HEAD /metrics")).await.0);
            assert!(head.ends_with("\r\n\r\n") && whole.starts_with(&head), "{head}");
            for (line, outcome) in [("GET /", "404"), ("GET /metrics/", "404"), ("PUT /metrics", "405")] {
                let answer = ask(&request(line)).await.0;
                assert!(answer.starts_with(&format!("HTTP/1.1 {outcome} ")), "{line}: {answer}");
            }
            for (words, poke) in [("", false), ("look\n", true), ("lo", false), ("PUT a thing\n", false)] {
                let (answer, poked) = ask(words).await;
                assert!(answer.starts_with("{\"version\":") && poked == poke, "{words}: {answer}");
            }
        });
    }
}
