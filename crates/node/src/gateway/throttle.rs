//! Holds what clients send against their limits: bytes of an HTTP request before its body is read, and every call.

use super::{
    answers::{Held, LONG, LongAnswers},
    limits::Clients,
    server::REQUEST_BYTES_MAX,
};
use axum::http::{HeaderValue, StatusCode};
use chorale_api::{ErrorCode, METRICS, SUBSCRIBE_METHOD};
use jsonrpsee::{
    core::middleware::{Batch, BatchEntry, BatchEntryErr, Notification},
    server::middleware::rpc::RpcServiceT,
    server::{HttpBody, HttpRequest, HttpResponse, MethodResponse, middleware::rpc::Request},
    types::ErrorObjectOwned,
};
use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Load balancers and orchestrators ask these, and cost nothing.
const FREE: [&str; 2] = ["chorale_health", "chorale_ready"];
/// Why a subscription is refused that comes by another way.
pub(super) const ONLY_ALONE: &str = "subscriptions are made over WebSocket, each in a message of its own";
/// What a message costs on top of its bytes.
const MESSAGE_BYTES: u64 = 256;
/// Requests that a look at the metrics counts for: all of them are written down for it.
const METRICS_REQUESTS: u64 = 50;
/// How long a request waits for a place at most.
pub(super) const PLACE_WAIT: Duration = Duration::from_secs(5);

/// Who sent a request: an extension of it.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) address: IpAddr,
    /// What this request holds until its answer is written.
    pub(super) held: Held,
}

/// The clients of all connections. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Throttle {
    clients: Arc<Mutex<Clients>>,
    long: LongAnswers,
    start: Instant,
}

impl Throttle {
    pub(super) fn new(clients: Clients, long: LongAnswers) -> Self {
        Self { clients: Arc::new(Mutex::new(clients)), long, start: Instant::now() }
    }

    /// The answer to an HTTP request whose body is longer than its client may send now; none if it may.
    pub(super) fn refuse_request<B>(&self, client: IpAddr, request: &HttpRequest<B>) -> Option<HttpResponse> {
        let is_get = request.method().as_str() == "GET";
        let requests = if is_get && request.uri().path() == METRICS { METRICS_REQUESTS } else { 0 };
        let bytes = match content_length(request) {
            Some(bytes) => bytes,
            None if is_get => 0,
            // It may be as long as any.
            None => u64::from(REQUEST_BYTES_MAX),
        };
        let wait_ms = self.ask(client, requests, bytes).err()?;
        Some(refusal(&too_many(client, wait_ms), wait_ms))
    }

    /// The error for a WebSocket's message that is more than its client may send now.
    pub(super) fn refuse_message(&self, client: IpAddr, bytes: usize) -> Option<ErrorObjectOwned> {
        let wait_ms = self.ask(client, 0, MESSAGE_BYTES + bytes as u64).err()?;
        Some(too_many(client, wait_ms))
    }

    /// The error for a call that comes too early.
    pub(super) fn refuse_call(&self, client: IpAddr) -> Option<ErrorObjectOwned> {
        let wait_ms = self.ask(client, 1, 0).err()?;
        Some(too_many(client, wait_ms))
    }

    /// Room for long answers.
    pub(super) const fn long(&self) -> &LongAnswers {
        &self.long
    }

    /// The error for a call that comes too early, or finds no room for its answer within this time.
    async fn refuse(&self, call: &Request<'_>, time: Duration) -> Option<ErrorObjectOwned> {
        let (client, method) = (call.extensions().get::<Client>()?, call.method_name());
        if method == SUBSCRIBE_METHOD {
            return Some(ErrorCode::InvalidParameter.with(ONLY_ALONE));
        }
        if FREE.contains(&method) {
            return None;
        }
        let refused = self.refuse_call(client.address);
        // The answers of a batch are one.
        if refused.is_some() || !LONG.contains(&method) || client.held.has_place() {
            return refused;
        }
        match self.long.wait(client.address, time).await {
            Ok(place) => client.held.add(place),
            Err(full) => return Some(ErrorCode::TooManyRequests.with(format!("long answers under way: {full}"))),
        }
        None
    }

    fn ask(&self, client: IpAddr, requests: u64, bytes: u64) -> Result<(), u64> {
        let now_ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).ask(client, requests, bytes, now_ms)
    }
}

/// Bytes that a request says its body has.
pub(super) fn content_length<B>(request: &HttpRequest<B>) -> Option<u64> {
    request.headers().get("content-length")?.to_str().ok()?.parse().ok()
}

/// The answer to an HTTP request that is not looked at, and when to come again.
pub(super) fn refusal(error: &ErrorObjectOwned, wait_ms: u64) -> HttpResponse {
    let mut answer = unread(StatusCode::TOO_MANY_REQUESTS, error);
    answer.headers_mut().insert("retry-after", HeaderValue::from(wait_ms.div_ceil(1_000)));
    answer
}

/// The answer to an HTTP request whose body is not read.
pub(super) fn unread(status: StatusCode, error: &ErrorObjectOwned) -> HttpResponse {
    let body = serde_json::json!({ "jsonrpc": "2.0", "id": null, "error": error });
    let mut answer = HttpResponse::new(HttpBody::from(body.to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    answer
}

fn too_many(client: IpAddr, wait_ms: u64) -> ErrorObjectOwned {
    ErrorCode::TooManyRequests.with(format!("{client} asks for too much; try again in {wait_ms} ms"))
}

/// A service behind the throttle.
#[derive(Clone, Debug)]
pub(super) struct Throttled<S> {
    pub(super) inner: S,
    pub(super) throttle: Throttle,
}

impl<S> RpcServiceT for Throttled<S>
where
    S: RpcServiceT<MethodResponse = MethodResponse> + Send + Sync + Clone + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = S::NotificationResponse;
    type BatchResponse = S::BatchResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let Self { inner, throttle } = self.clone();
        async move {
            match throttle.refuse(&request, PLACE_WAIT).await {
                Some(error) => MethodResponse::error(request.id, error),
                None => inner.call(request).await,
            }
        }
    }

    fn batch<'a>(&self, mut batch: Batch<'a>) -> impl Future<Output = Self::BatchResponse> + Send + 'a {
        let Self { inner, throttle } = self.clone();
        async move {
            let mut time = PLACE_WAIT;
            for entry in batch.iter_mut() {
                if let Ok(BatchEntry::Call(call)) = entry
                    && let Some(error) = throttle.refuse(call, time).await
                {
                    // It has waited: the others of the batch do not wait again.
                    time = Duration::ZERO;
                    *entry = Err(BatchEntryErr::new(call.id.clone(), error));
                }
            }
            inner.batch(batch).await
        }
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = Self::NotificationResponse> + Send + 'a {
        self.inner.notification(notification)
    }
}
