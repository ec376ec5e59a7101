//! Who connects to the agent's socket, and what they are told.
//!
//! # Theory of operation
//! Who has something to say says it at once, and is given a moment for it. `look` is a poke; a request of HTTP (RFC 9112) gets its answer, which is the metrics or
//! that there is nothing else; everybody else is told how things are, in one line of JSON. Then the agent hangs up.
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
    let all = async {
        while said.len() < LONGEST && caller.read_buf(&mut said).await.is_ok_and(|more| more > 0) {
            if !said.starts_with(GET) || said.windows(END.len()).any(|end| end == END) {
                break;
            }
        }
    };
    let _moment = timeout(MOMENT, all).await;
    said
}

/// The answer to a request of HTTP; none to anything else.
fn http(said: &[u8], status: &Status) -> Option<Vec<u8>> {
    let target = said.strip_prefix(GET)?.split(|byte| *byte == b' ').next()?;
    let (outcome, body) = match target {
        b"/metrics" => ("200 OK", metrics::text(&status.all())),
        _ => ("404 Not Found", "there is /metrics\n".to_owned()),
    };
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {outcome}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    Some([head, body].concat().into_bytes())
}

const GET: &[u8] = b"GET ";
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
            let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
            let (answer, poked) = ask(&request("/metrics")).await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && !poked, "{answer}");
            assert!(answer.contains("\r\n\r\n# HELP sealane_store_heard "), "{answer}");
            assert!(ask(&request("/")).await.0.starts_with("HTTP/1.1 404 "));
            for (words, poke) in
                [("", false), ("look\n", true), ("lo", false), ("PUT / HTTP/1.1\r\n\r\n", false)]
            {
                let (answer, poked) = ask(words).await;
                assert!(answer.starts_with("{\"version\":") && poked == poke, "{words}: {answer}");
            }
        });
    }
}
