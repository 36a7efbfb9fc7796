//! One WebSocket connection.
//!
//! Calls are answered as those over HTTP are, by the same service; only subscriptions are kept here. What a client may have
//! under way is bounded, and nothing more is read from it meanwhile. A client that does not take its answers, or is not
//! there any more, ends the connection.

use super::{
    Backend,
    answers::{Held, write_time},
    server::BATCH_REQUESTS_MAX,
    subscriptions::{Events, Subscriber, Told, subscribe},
    throttle::Throttle,
    watched::Heard,
};
use chorale_api::{ErrorCode, NOTIFICATION_METHOD, SUBSCRIBE_METHOD, UNSUBSCRIBE_METHOD};
use chorale_types::Height;
use futures::{
    future::BoxFuture,
    io::{BufReader, BufWriter},
};
use hyper::{body::Incoming as Body, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use jsonrpsee::{
    core::RpcResult,
    server::HttpRequest,
    types::{ErrorObjectOwned, Id, Request, Response, ResponsePayload, error::reject_too_big_request},
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use soketto::{Incoming, base, connection::Error, data::ByteSlice125, handshake::http::Server};
use std::{fmt::Formatter, net::IpAddr, sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};
use tokio_stream::{StreamExt as _, StreamMap};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};
use tracing::debug;

/// Bytes of one message. The frame that announces it takes them, before any of them comes.
const MESSAGE_BYTES_MAX: u32 = 2 * 1024 * 1024;
/// Calls that one connection may have under way.
const CALLS_MAX: usize = 16;
/// Bytes of their messages together, above which no further one is read.
const CALLS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Subscriptions of one connection.
const SUBSCRIPTIONS_MAX: usize = 32;
/// Lanes that its subscriptions have in memory together.
const LANES_MAX: usize = 1;
/// How often a client is asked whether it is there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long nothing may come from it.
const SILENCE_MAX: Duration = Duration::from_secs(90);

type Io = BufReader<BufWriter<Compat<TokioIo<Upgraded>>>>;

/// The answer to a message, if it has one, and what it holds until it is written.
pub(super) type Answered = (Option<String>, Held);

/// What a connection needs of the server.
pub(super) struct Session {
    pub(super) client: IpAddr,
    pub(super) throttle: Throttle,
    pub(super) backend: Backend,
    /// When something came from the client last.
    pub(super) heard: Heard,
    /// Answers a message with calls.
    pub(super) answer: Box<dyn Fn(Vec<u8>) -> BoxFuture<'static, Answered> + Send + Sync>,
}

/// Talks to the client until it goes, does not take its answers, or the server stops.
pub(super) async fn talk(
    request: HttpRequest<Body>,
    handshake: Server,
    session: Session,
    stopped: impl Future<Output = ()>,
) {
    let upgraded = match hyper::upgrade::on(request).await {
        Ok(upgraded) => upgraded,
        Err(error) => return debug!(%error, "a connection that does not become a WebSocket"),
    };
    let stream = BufReader::new(BufWriter::new(TokioIo::new(upgraded).compat()));
    let mut builder = handshake.into_builder(stream);
    builder.set_max_message_size(MESSAGE_BYTES_MAX as usize);
    builder.set_max_frame_size(MESSAGE_BYTES_MAX as usize);
    let (sender, receiver) = builder.finish();
    let client = session.client;
    let mut connection = Connection {
        sender,
        session,
        calls: JoinSet::new(),
        calls_bytes: 0,
        told: StreamMap::new(),
        subscriptions: 0,
        turns: Arc::new(Semaphore::new(LANES_MAX)),
    };
    let (received, messages) = mpsc::channel(1);
    // Beside each other: what is read may have to be answered by a pong before anything else can be written.
    let ended = tokio::select! {
        () = stopped => Ok(()),
        ended = connection.run(messages) => ended,
        ended = listen(receiver, received) => ended,
    };
    debug!(%client, ?ended, "a WebSocket ends");
    if ended.is_err_and(|ended| ended.is_too_long()) {
        // What comes after it cannot be read, but the client is told why.
        let _ = connection.refuse(Id::Null, reject_too_big_request(MESSAGE_BYTES_MAX)).await;
    }
    // Whoever does not read does not see it.
    let _ = tokio::time::timeout(write_time(0), connection.sender.close()).await;
}

async fn listen(mut receiver: soketto::Receiver<Io>, messages: mpsc::Sender<Vec<u8>>) -> Result<(), Ended> {
    loop {
        let mut data = Vec::new();
        match receiver.receive(&mut data).await? {
            Incoming::Data(_) => messages.send(data).await.map_err(|_| Ended::Closed)?,
            Incoming::Pong(_) => {}
            Incoming::Closed(_) => return Err(Ended::Closed),
        }
    }
}

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the client went away")]
    Closed,
    #[error("{0}")]
    Failed(#[from] Error),
    #[error("the client does not take its answers")]
    Deaf,
    #[error("nothing was heard of the client")]
    Silent,
}

impl Ended {
    /// Whether the client sent a longer message than it may.
    const fn is_too_long(&self) -> bool {
        let Self::Failed(error) = self else { return false };
        matches!(error, Error::MessageTooLarge { .. } | Error::Codec(base::Error::PayloadTooLarge { .. }))
    }
}

struct Connection {
    sender: soketto::Sender<Io>,
    session: Session,
    /// With the length of the message that each answers.
    calls: JoinSet<(usize, Answered)>,
    calls_bytes: usize,
    /// Subscriptions by their ids.
    told: StreamMap<u64, Events>,
    /// How many there were.
    subscriptions: u64,
    turns: Arc<Semaphore>,
}

impl Connection {
    async fn run(&mut self, mut messages: mpsc::Receiver<Vec<u8>>) -> Result<(), Ended> {
        let mut ping = tokio::time::interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let has_room = self.calls.len() < CALLS_MAX && self.calls_bytes < CALLS_BYTES_MAX;
            tokio::select! {
                Some(answered) = self.calls.join_next(), if !self.calls.is_empty() => {
                    // A task of ours that died is a defect; its client learns of it by the end of the connection.
                    let (bytes, (answer, held)) = answered.map_err(|_| Ended::Closed)?;
                    self.calls_bytes -= bytes;
                    if let Some(answer) = answer {
                        self.send(answer).await?;
                    }
                    drop(held);
                }
                Some((id, told)) = self.told.next(), if !self.told.is_empty() => self.tell(id, told).await?,
                message = messages.recv(), if has_room => match message {
                    Some(data) => self.take(data).await?,
                    None => return Err(Ended::Closed),
                },
                _ = ping.tick() => self.ping(has_room).await?,
            }
        }
    }

    async fn ping(&mut self, is_listening: bool) -> Result<(), Ended> {
        let silence = self.session.heard.elapsed();
        if is_listening && silence > SILENCE_MAX {
            return Err(Ended::Silent);
        }
        // Who sends something is there. A pong between the parts of a message would end it, too: see soketto's receiver.
        if silence < PING_INTERVAL {
            return Ok(());
        }
        let pinged = async {
            self.sender.send_ping(ByteSlice125::try_from(&[][..]).expect("it is empty")).await?;
            self.sender.flush().await
        };
        Ok(tokio::time::timeout(write_time(0), pinged).await.map_err(|_| Ended::Deaf)??)
    }

    async fn send(&mut self, text: String) -> Result<(), Ended> {
        let time = write_time(text.len());
        let written = async {
            self.sender.send_text_owned(text).await?;
            self.sender.flush().await
        };
        Ok(tokio::time::timeout(time, written).await.map_err(|_| Ended::Deaf)??)
    }

    async fn answer<T: Serialize + Clone>(&mut self, id: Id<'_>, result: RpcResult<T>) -> Result<(), Ended> {
        let payload = match result {
            Ok(result) => ResponsePayload::success(result),
            Err(error) => ResponsePayload::error(error),
        };
        let text = serde_json::to_string(&Response::new(payload, id)).expect("numbers, texts and flags");
        self.send(text).await
    }

    async fn refuse(&mut self, id: Id<'_>, error: ErrorObjectOwned) -> Result<(), Ended> {
        self.answer::<()>(id, Err(error)).await
    }

    /// Takes a message in. Subscriptions have to come alone; everything else is for the service, also what is no call.
    async fn take(&mut self, data: Vec<u8>) -> Result<(), Ended> {
        if let Some(error) = self.session.throttle.refuse_message(self.session.client, data.len()) {
            return match refusal_of(&data, &error) {
                Some(refusal) => self.send(refusal).await,
                None => Ok(()),
            };
        }
        let call = serde_json::from_slice::<Request<'_>>(&data).ok();
        match &call {
            Some(call) if call.method == SUBSCRIBE_METHOD => self.subscribe(call).await,
            Some(call) if call.method == UNSUBSCRIBE_METHOD => self.unsubscribe(call).await,
            _ => {
                let bytes = data.len();
                self.calls_bytes += bytes;
                let answer = (self.session.answer)(data);
                self.calls.spawn(async move { (bytes, answer.await) });
                Ok(())
            }
        }
    }

    async fn subscribe(&mut self, call: &Request<'_>) -> Result<(), Ended> {
        let id = call.id.clone();
        let told = self.subscription(call).await;
        match told {
            Err(error) => self.refuse(id, error).await,
            Ok(events) => {
                self.subscriptions += 1;
                let number = self.subscriptions;
                self.answer(id, Ok(number)).await?;
                self.told.insert(number, events);
                Ok(())
            }
        }
    }

    async fn subscription(&mut self, call: &Request<'_>) -> RpcResult<Events> {
        let client = self.session.client;
        if let Some(error) = self.session.throttle.refuse_call(client) {
            return Err(error);
        }
        if self.told.len() >= SUBSCRIPTIONS_MAX {
            return Err(ErrorCode::Busy.with(format!("a connection has {SUBSCRIPTIONS_MAX} subscriptions at most")));
        }
        let (rollup, from) = match call.params().parse::<Params>()? {
            Params::Listed(rollup, from) | Params::Named { rollup, from } => (rollup, from),
        };
        let long = self.session.throttle.long().clone();
        let subscriber = Subscriber { client, turns: self.turns.clone(), long };
        subscribe(&self.session.backend, subscriber, rollup, Height(from)).await
    }

    async fn unsubscribe(&mut self, call: &Request<'_>) -> Result<(), Ended> {
        let id = call.id.clone();
        match call.params().one::<u64>() {
            Ok(number) => {
                let was_there = self.told.remove(&number).is_some();
                self.answer(id, Ok(was_there)).await
            }
            Err(error) => self.refuse(id, error).await,
        }
    }

    async fn tell(&mut self, subscription: u64, told: RpcResult<Told>) -> Result<(), Ended> {
        let (told, error) = match told {
            Ok(told) => (Some(told), None),
            Err(error) => (None, Some(error)),
        };
        let result = told.as_ref().map(|told| &*told.event);
        let params = NotificationParams { subscription, result, error: error.as_ref().map(ErrorObjectOwned::message) };
        let notification = Notification { jsonrpc: "2.0", method: NOTIFICATION_METHOD, params };
        let text = serde_json::to_string(&notification).expect("numbers, texts and flags");
        // What was told keeps its room until it is written.
        self.send(text).await
    }
}

/// The answer to a message that is refused as a whole: an error for every call in it, as far as a batch may have calls; none
/// if it has only notifications.
pub(super) fn refusal_of(data: &[u8], error: &ErrorObjectOwned) -> Option<String> {
    let refuse = |id| Response::new(ResponsePayload::<()>::error(error.clone()), id);
    let is_batch = data.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    if is_batch && let Ok(Batch(calls)) = serde_json::from_slice(data) {
        let refused: Vec<_> = calls.into_iter().filter_map(|call| call.id).map(refuse).collect();
        return if refused.is_empty() { None } else { serde_json::to_string(&refused).ok() };
    }
    match serde_json::from_slice::<Named<'_>>(data) {
        Ok(Named { id }) => serde_json::to_string(&refuse(id?)).ok(),
        Err(_) => serde_json::to_string(&refuse(Id::Null)).ok(),
    }
}

/// As much of a call as names it.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow, default)]
    id: Option<Id<'a>>,
}

/// The calls of a batch, no more than one may have.
struct Batch<'a>(Vec<Named<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Batch<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Calls;
        impl<'de> Visitor<'de> for Calls {
            type Value = Vec<Named<'de>>;

            fn expecting(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "at most {BATCH_REQUESTS_MAX} calls")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut calls: A) -> Result<Self::Value, A::Error> {
                let mut named = Vec::new();
                while let Some(call) = calls.next_element()? {
                    named.push(call);
                    if named.len() > BATCH_REQUESTS_MAX as usize {
                        return Err(A::Error::invalid_length(named.len(), &self));
                    }
                }
                Ok(named)
            }
        }
        deserializer.deserialize_seq(Calls).map(Batch)
    }
}

/// Of a subscription.
#[derive(Deserialize)]
#[serde(untagged)]
enum Params {
    Listed(u64, u64),
    Named {
        rollup: u64,
        #[serde(rename = "fromHeight", alias = "from_height")]
        from: u64,
    },
}

#[derive(Serialize)]
struct Notification<'a> {
    jsonrpc: &'static str,
    method: &'static str,
    params: NotificationParams<'a>,
}

#[derive(Serialize)]
struct NotificationParams<'a> {
    subscription: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    /// Why the subscription ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::refusal_of;
    use chorale_api::ErrorCode;
    use serde_json::{Value, json};

    #[test]
    fn a_refusal_answers_every_call_of_a_message_by_its_id_and_nothing_else() {
        let error = ErrorCode::TooManyRequests.with("later");
        let refused = |message: &str| {
            let answer = refusal_of(message.as_bytes(), &error)?;
            Some(serde_json::from_str::<Value>(&answer).unwrap())
        };
        let of = |id: Value| json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32056, "message": "later" } });
        assert_eq!(refused(r#"{"jsonrpc":"2.0","id":"a","method":"x"}"#), Some(of(json!("a"))));
        assert_eq!(
            refused(r#" [{"id":1,"method":"x"},{"method":"n"},{"id":2}]"#),
            Some(json!([of(json!(1)), of(json!(2))]))
        );
        assert_eq!(refused(r#"{"jsonrpc":"2.0","method":"a notification"}"#), None);
        assert_eq!(refused(r#"[{"method":"a notification"}]"#), None);
        assert_eq!(refused("no JSON"), Some(of(Value::Null)));
        assert_eq!(refused("[no JSON"), Some(of(Value::Null)));
        // No answer is longer than a batch may have calls, whatever the message has.
        let calls = |count| format!("[{}]", vec![r#"{"id":1}"#; count].join(","));
        assert_eq!(refused(&calls(256)), Some(json!(vec![of(json!(1)); 256])));
        assert_eq!(refused(&calls(257)), Some(of(Value::Null)));
    }
}
