//! One WebSocket connection.
//!
//! Calls are answered as those over HTTP are, by the same service; only subscriptions are kept here. What a client may have
//! under way is bounded, and nothing more is read from it meanwhile. An answer that it does not take ends the connection.

use super::{
    answers::{Held, write_time},
    throttle::{Client, Throttle},
};
use chorale_api::{ErrorCode, SUBSCRIBE_METHOD, UNSUBSCRIBE_METHOD};
use futures::{
    FutureExt as _, Stream, StreamExt as _,
    future::BoxFuture,
    io::{BufReader, BufWriter},
    stream::FuturesUnordered,
};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use jsonrpsee::{Methods, server::HttpRequest, types::ErrorObjectOwned};
use serde::Deserialize;
use serde_json::value::RawValue;
use soketto::{Incoming, connection::Error, handshake::http::Server};
use std::borrow::Cow;
use tokio_stream::{StreamMap, wrappers::ReceiverStream};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};
use tracing::debug;

/// Calls that one connection may have under way.
const CALLS_MAX: usize = 16;
/// Bytes of their requests together, above which no further one is read.
const CALLS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Subscriptions of one connection.
const SUBSCRIPTIONS_MAX: usize = 32;
/// Notifications of a subscription that wait until the client takes them; each may be as long as a lane.
const NOTIFICATIONS_MAX: usize = 1;

type Io = BufReader<BufWriter<Compat<TokioIo<Upgraded>>>>;

/// The answer to a message, if it has one, and what it holds until it is written.
pub(super) type Answered = (Option<String>, Held);

/// What a connection needs of the server.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) throttle: Throttle,
    /// With the client among their extensions.
    pub(super) methods: Methods,
    /// Answers calls.
    pub(super) answer: Box<dyn Fn(Vec<u8>) -> BoxFuture<'static, Answered> + Send + Sync>,
    pub(super) message_bytes_max: usize,
}

/// As much of a call as is needed to know where it goes.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

/// Talks to the client until it goes, does not take its answers, or the server stops.
pub(super) async fn talk<B>(
    request: HttpRequest<B>,
    handshake: Server,
    session: Session,
    stopped: impl Future<Output = ()>,
) where
    B: Send + 'static,
{
    let upgraded = match hyper::upgrade::on(request).await {
        Ok(upgraded) => upgraded,
        Err(error) => return debug!(%error, "a connection that does not become a WebSocket"),
    };
    let stream = BufReader::new(BufWriter::new(TokioIo::new(upgraded).compat()));
    let mut builder = handshake.into_builder(stream);
    builder.set_max_message_size(session.message_bytes_max);
    builder.set_max_frame_size(session.message_bytes_max);
    let (sender, receiver) = builder.finish();
    let calls = FuturesUnordered::new();
    let mut connection = Connection { sender, session, calls, calls_bytes: 0, told: StreamMap::new() };
    let address = connection.session.client.address;
    tokio::select! {
        () = stopped => {}
        ended = connection.run(Box::pin(messages(receiver))) => debug!(client = %address, ?ended, "a WebSocket ends"),
    }
    // Whoever does not read does not see it.
    let _ = tokio::time::timeout(write_time(0), connection.sender.close()).await;
}

/// What the client sends. A future that is dropped half way through a message would lose it; a stream is kept.
fn messages(receiver: soketto::Receiver<Io>) -> impl Stream<Item = Result<Vec<u8>, Error>> + Send {
    futures::stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        let mut data = Vec::new();
        loop {
            match receiver.receive(&mut data).await {
                Ok(Incoming::Data(_)) => return Some((Ok(data), Some(receiver))),
                Ok(Incoming::Pong(_)) => {}
                Ok(Incoming::Closed(_)) => return None,
                Err(error) => return Some((Err(error), None)),
            }
        }
    })
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
}

struct Connection {
    sender: soketto::Sender<Io>,
    session: Session,
    calls: FuturesUnordered<BoxFuture<'static, (usize, Answered)>>,
    calls_bytes: usize,
    /// Subscriptions by what the client knows them by.
    told: StreamMap<String, ReceiverStream<Box<RawValue>>>,
}

impl Connection {
    async fn run(&mut self, mut messages: impl Stream<Item = Result<Vec<u8>, Error>> + Unpin) -> Result<(), Ended> {
        loop {
            let has_room = self.calls.len() < CALLS_MAX && self.calls_bytes < CALLS_BYTES_MAX;
            tokio::select! {
                Some((bytes, (answer, held))) = self.calls.next(), if !self.calls.is_empty() => {
                    self.calls_bytes -= bytes;
                    if let Some(answer) = answer {
                        self.send(answer).await?;
                    }
                    drop(held);
                }
                Some((_, notification)) = self.told.next(), if !self.told.is_empty() => {
                    self.send(String::from(Box::<str>::from(notification))).await?;
                }
                message = messages.next(), if has_room => match message {
                    Some(Ok(data)) => self.take(data).await?,
                    Some(Err(error)) => return Err(error.into()),
                    None => return Err(Ended::Closed),
                },
            }
        }
    }

    async fn send(&mut self, text: String) -> Result<(), Ended> {
        let time = write_time(text.len());
        let written = async {
            self.sender.send_text_owned(text).await?;
            self.sender.flush().await
        };
        Ok(tokio::time::timeout(time, written).await.map_err(|_| Ended::Deaf)??)
    }

    /// Takes a message in. Subscriptions have to come alone; everything else is for the service, also what is no call.
    async fn take(&mut self, data: Vec<u8>) -> Result<(), Ended> {
        if let Ok(head) = serde_json::from_slice::<Head<'_>>(&data)
            && let Some(id) = head.id
        {
            match head.method.as_ref() {
                SUBSCRIBE_METHOD => return self.subscribe(&data, id).await,
                UNSUBSCRIBE_METHOD => return self.unsubscribe(id, head.params).await,
                _ => {}
            }
        }
        let bytes = data.len();
        self.calls_bytes += bytes;
        self.calls.push((self.session.answer)(data).map(move |answered| (bytes, answered)).boxed());
        Ok(())
    }

    async fn subscribe(&mut self, data: &[u8], id: &RawValue) -> Result<(), Ended> {
        if let Some(error) = self.session.throttle.refuse_call(&self.session.client, SUBSCRIBE_METHOD, data.len()) {
            return self.send(error_of(id, &error)).await;
        }
        if self.told.len() >= SUBSCRIPTIONS_MAX {
            let error = ErrorCode::Busy.with(format!("a connection has {SUBSCRIPTIONS_MAX} subscriptions at most"));
            return self.send(error_of(id, &error)).await;
        }
        let request = std::str::from_utf8(data).map_err(Error::Utf8)?;
        let (answer, told) = match self.session.methods.raw_json_request(request, NOTIFICATIONS_MAX).await {
            Ok(answered) => answered,
            Err(error) => {
                let error = ErrorCode::InvalidParameter.with(error.to_string());
                return self.send(error_of(id, &error)).await;
            }
        };
        let name = name_of(&answer);
        self.send(String::from(Box::<str>::from(answer))).await?;
        if let Some(name) = name {
            self.told.insert(name, ReceiverStream::new(told));
        }
        Ok(())
    }

    async fn unsubscribe(&mut self, id: &RawValue, params: Option<&RawValue>) -> Result<(), Ended> {
        let name = params.and_then(|params| serde_json::from_str::<(&RawValue,)>(params.get()).ok());
        let was_there = name.is_some_and(|(name,)| self.told.remove(name.get()).is_some());
        self.send(serde_json::json!({ "jsonrpc": "2.0", "id": id, "result": was_there }).to_string()).await
    }
}

/// What the client knows its new subscription by; none if it was refused.
fn name_of(answer: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Accepted<'a> {
        #[serde(borrow)]
        result: &'a RawValue,
    }
    let accepted: Accepted<'_> = serde_json::from_str(answer.get()).ok()?;
    Some(accepted.result.get().to_owned())
}

fn error_of(id: &RawValue, error: &ErrorObjectOwned) -> String {
    serde_json::json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string()
}
