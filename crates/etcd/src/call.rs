//! One call: on which connection, how long, and what then.
use crate::{
    Endpoint, Error, Options, Tried, Trouble,
    endpoint::Host,
    names, tls,
    wire::{Ask, StatusRequest},
};
use http::uri::PathAndQuery;
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until, timeout_at},
};
use tonic::{
    Request, Status,
    client::Grpc,
    metadata::MetadataValue,
    transport::{Channel, ClientTlsConfig, Endpoint as Target},
};
use tonic_prost::ProstCodec;

/// The members of one cluster. A clone shares its connections.
#[derive(Debug, Clone)]
pub struct Client {
    members: Arc<[Member]>,
    /// Who is asked first.
    preferred: Arc<AtomicUsize>,
    deadline: Duration,
    /// When all calls are over, if that was said.
    end: Option<Instant>,
}

/// An endpoint, and the connection to it while there is one.
#[derive(Debug)]
struct Member {
    endpoint: Endpoint,
    tls: Option<ClientTlsConfig>,
    connection: Mutex<Option<Channel>>,
}

/// Which member it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked(usize);

/// Whether what was sent may be sent once more, if nobody knows what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    Yes,
    No,
}

impl Client {
    /// Reads the files of `tls`; connects with the first call.
    pub fn new(options: &Options) -> Result<Self, Error> {
        if options.endpoints.is_empty() {
            return Err(Error::NoEndpoints);
        }
        let tls = options.tls.as_ref().map(tls::config).transpose()?;
        let members = options.endpoints.iter().map(|endpoint| Member::new(endpoint, tls.as_ref()));
        Ok(Self {
            members: members.collect::<Result<_, _>>()?,
            preferred: Arc::default(),
            deadline: options.deadline,
            end: None,
        })
    }

    /// The same connections with another deadline.
    #[must_use]
    pub fn within(&self, deadline: Duration) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// The same connections, on which no call goes on beyond this moment, however many there are.
    #[must_use]
    pub fn until(&self, end: std::time::Instant) -> Self {
        Self { end: Some(end.into()), ..self.clone() }
    }

    /// One question, one answer.
    pub(crate) async fn ask<A: Ask>(&self, question: A, again: Again) -> Result<A::Answer, Error> {
        let (answer, _) = self.try_each(again, |channel| unary(channel, question.clone())).await?;
        Ok(answer)
    }

    /// Does it on one connection after the other until one does, for as long as the deadline allows; says which it was.
    pub(crate) async fn try_each<T, F, W>(&self, again: Again, each: F) -> Result<(T, Asked), Error>
    where
        F: Fn(Grpc<Channel>) -> W,
        W: Future<Output = Result<T, Status>>,
    {
        let (over, share) = self.time();
        let mut tried: Vec<Tried> = Vec::new();
        for attempt in 1.. {
            let at = Asked(self.preferred.load(Ordering::Relaxed));
            let Some(member) = self.members.get(at.0) else { return Err(Error::NoEndpoints) };
            let trouble = match member.attempt(over.min(Instant::now() + share), &each).await {
                Ok(answer) => return Ok((answer, at)),
                Err(Failed::Refused(status)) => return Err(refusal(&status)),
                Err(Failed::Trouble(trouble)) => trouble,
            };
            let last = self.turn_away(at, trouble)?;
            if last.trouble.may_be_done() && again == Again::No {
                return Err(Error::Lost { tried: last });
            }
            remember(&mut tried, last);
            let round_is_over = attempt % self.members.len() == 0;
            let hopeless = round_is_over && !tried.iter().any(|one| one.trouble.may_pass());
            if hopeless || Instant::now() >= over {
                break;
            }
            if round_is_over {
                sleep_until(over.min(Instant::now() + PAUSE)).await;
            }
        }
        Err(Error::Unreachable { tried })
    }

    /// From now on another member is asked first.
    pub(crate) fn turn_away(&self, from: Asked, trouble: Trouble) -> Result<Tried, Error> {
        let next = (from.0 + 1) % self.members.len().max(1);
        // Not if another task has turned away already: that could be back to where we are.
        let _turned = self.preferred.compare_exchange(from.0, next, Ordering::Relaxed, Ordering::Relaxed);
        let member = self.members.get(from.0).ok_or(Error::NoEndpoints)?;
        Ok(Tried { endpoint: member.endpoint.clone(), trouble })
    }

    /// When a call that begins now is over, and how long one member may take: the others shall have their turn.
    fn time(&self) -> (Instant, Duration) {
        let now = Instant::now();
        let over = self.end.map_or(now + self.deadline, |end| end.min(now + self.deadline));
        let members = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        (over, over.saturating_duration_since(now) / members)
    }
}

/// Each endpoint's last trouble; that the time was over in the end hides none that says more.
fn remember(tried: &mut Vec<Tried>, last: Tried) {
    match tried.iter_mut().find(|earlier| earlier.endpoint == last.endpoint) {
        Some(earlier) if !last.trouble.is_silence() => *earlier = last,
        Some(_) => {}
        None => tried.push(last),
    }
}

/// Why an attempt came to nothing.
enum Failed {
    Refused(Status),
    Trouble(Trouble),
}

impl Member {
    fn new(endpoint: &Endpoint, tls: Option<&ClientTlsConfig>) -> Result<Self, Error> {
        if endpoint.https != tls.is_some() {
            return Err(Error::HalfTls { endpoint: endpoint.clone() });
        }
        let tls = tls.map(|tls| tls.clone().domain_name(endpoint.host.to_string()));
        let member = Self { endpoint: endpoint.clone(), tls, connection: Mutex::default() };
        // Here a key is refused that is not the certificate's, whatever becomes of the address.
        member.target("192.0.2.1:1").map_err(|words| Error::Identity { words })?;
        Ok(member)
    }

    async fn attempt<T, F, W>(&self, limit: Instant, each: &F) -> Result<T, Failed>
    where
        F: Fn(Grpc<Channel>) -> W,
        W: Future<Output = Result<T, Status>>,
    {
        let began = Instant::now();
        // A timer is looked at last: who is asked at all could answer before, or do what is taken for not done.
        if began >= limit {
            return Err(Failed::Trouble(Trouble::Unheard(Duration::ZERO)));
        }
        let connecting = timeout_at(limit, self.connect()).await;
        let channel = connecting.unwrap_or_else(|_| Err(Trouble::Unheard(began.elapsed())));
        let channel = channel.map_err(Failed::Trouble)?;
        let trouble = match timeout_at(limit, each(grpc(channel))).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(status)) => Trouble::of(status).map_err(Failed::Refused)?,
            Err(_) => Trouble::Silent(began.elapsed()),
        };
        if !matches!(trouble, Trouble::NotServing(_)) {
            self.connection.lock().await.take();
        }
        Err(Failed::Trouble(trouble))
    }

    /// The connection, made and tried if there is none. Who comes meanwhile waits for the same one.
    async fn connect(&self) -> Result<Channel, Trouble> {
        let mut connection = self.connection.lock().await;
        if let Some(channel) = connection.as_ref() {
            return Ok(channel.clone());
        }
        let address = match &self.endpoint.host {
            Host::Address(address) => *address,
            Host::Name(name) => {
                names::address_of(name).map_err(Trouble::NoHosts)?.ok_or(Trouble::UnknownName)?
            }
        };
        let at = std::net::SocketAddr::new(address, self.endpoint.port);
        let target = self.target(&at.to_string()).map_err(Trouble::NotConnected)?;
        let channel = target.connect().await.map_err(|error| Trouble::connecting(&error))?;
        // Who is frozen, or does not like our certificate, says so only now; and what is asked later has not been sent in vain.
        let greeting = unary(grpc(channel.clone()), StatusRequest {}).await;
        greeting.map_err(|status| Trouble::greeting(status, self.endpoint.https))?;
        Ok(connection.insert(channel).clone())
    }

    fn target(&self, at: &str) -> Result<Target, String> {
        let said = |error: tonic::transport::Error| {
            std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string)
        };
        let scheme = if self.endpoint.https { "https" } else { "http" };
        let target = Target::from_shared(format!("{scheme}://{at}")).map_err(said)?;
        let target =
            target.http2_keep_alive_interval(PING).keep_alive_timeout(PONG).keep_alive_while_idle(true);
        match &self.tls {
            Some(tls) => target.tls_config(tls.clone()).map_err(said),
            None => Ok(target),
        }
    }
}

fn grpc(channel: Channel) -> Grpc<Channel> {
    Grpc::new(channel).max_decoding_message_size(MESSAGE)
}

async fn unary<A: Ask>(mut grpc: Grpc<Channel>, question: A) -> Result<A::Answer, Status> {
    ready(&mut grpc).await?;
    let answer =
        grpc.unary(request(question), method(A::METHOD), ProstCodec::<A, A::Answer>::default()).await?;
    Ok(answer.into_inner())
}

pub(crate) async fn ready(grpc: &mut Grpc<Channel>) -> Result<(), Status> {
    grpc.ready().await.map_err(|error| Status::from_error(error.into()))
}

/// Only of a member that knows who leads: one that is cut off would keep us waiting.
pub(crate) fn request<T>(question: T) -> Request<T> {
    let mut request = Request::new(question);
    request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
    request
}

pub(crate) fn method(path: &'static str) -> PathAndQuery {
    PathAndQuery::from_static(path)
}

pub(crate) fn refusal(status: &Status) -> Error {
    Error::Refused { code: status.code(), words: status.message().to_owned() }
}

/// A connection on which nothing is heard is asked for a sign of life. etcd takes it amiss if that is more often than every 5 s
/// (`--grpc-keepalive-min-time`).
const PING: Duration = Duration::from_secs(10);
const PONG: Duration = Duration::from_secs(5);

/// Between two rounds over all members.
const PAUSE: Duration = Duration::from_millis(50);

/// The longest message that is taken: a value can have 1.5 MiB, a fragment of a watch or a page of a range the same and a bit.
const MESSAGE: usize = 8 << 20;
