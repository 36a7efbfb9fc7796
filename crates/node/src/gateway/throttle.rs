//! Holds what clients send against their limits: bytes of an HTTP request before its body is read, and every call.

use super::{
    answers::{Held, LONG},
    limits::Clients,
    places::{Place, Places},
    server::REQUEST_BYTES_MAX,
};
use axum::http::{HeaderValue, StatusCode};
use chorale_api::{ErrorCode, SUBSCRIBE_METHOD};
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
/// How long a call waits for a place for its long answer.
const LONG_WAIT: Duration = Duration::from_secs(5);

/// Who sent a request: an extension of it.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) address: IpAddr,
    /// Its bytes were counted before they were read; those of a WebSocket could not be.
    pub(super) is_counted: bool,
    /// Of its connection: given back when the last request of it is done, or its WebSocket closed.
    pub(super) _place: Arc<Place>,
    /// What this request holds until it is answered.
    pub(super) held: Held,
}

/// The clients of all connections. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Throttle {
    clients: Arc<Mutex<Clients>>,
    /// For long answers.
    long: Places,
    start: Instant,
}

impl Throttle {
    pub(super) fn new(clients: Clients, long: Places) -> Self {
        Self { clients: Arc::new(Mutex::new(clients)), long, start: Instant::now() }
    }

    /// The answer to an HTTP request whose body is longer than its client may send now; none if it may.
    pub(super) fn refuse_body<B>(&self, client: IpAddr, request: &HttpRequest<B>) -> Option<HttpResponse> {
        let length = request.headers().get("content-length");
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let bytes = match length {
            Some(bytes) => bytes,
            None if request.method().as_str() == "GET" => 0,
            // It may be as long as any.
            None => u64::from(REQUEST_BYTES_MAX),
        };
        let wait_ms = self.ask(client, 0, bytes).err()?;
        Some(refusal(&too_many(client, wait_ms), wait_ms))
    }

    /// The error for a call that comes too early, or finds no place for its answer.
    async fn refuse(&self, call: &Request<'_>) -> Option<ErrorObjectOwned> {
        let client = call.extensions().get::<Client>()?;
        if call.method_name() == SUBSCRIBE_METHOD {
            let message = "subscriptions are made over WebSocket, each in a message of its own";
            return Some(ErrorCode::InvalidParameter.with(message));
        }
        let bytes = if client.is_counted { 0 } else { call.params().len_bytes() };
        let refused = self.refuse_call(client, call.method_name(), bytes);
        // The answers of a batch are one.
        if refused.is_some() || !LONG.contains(&call.method_name()) || !client.held.is_empty() {
            return refused;
        }
        match self.long.wait(client.address, LONG_WAIT).await {
            Ok(place) => client.held.add(place),
            Err(full) => return Some(ErrorCode::TooManyRequests.with(format!("long answers under way: {full}"))),
        }
        None
    }

    /// The error for a call of a method with so many bytes that are not counted yet, if it comes too early.
    pub(super) fn refuse_call(&self, client: &Client, method: &str, bytes: usize) -> Option<ErrorObjectOwned> {
        if FREE.contains(&method) {
            return None;
        }
        let wait_ms = self.ask(client.address, 1, bytes as u64).err()?;
        Some(too_many(client.address, wait_ms))
    }

    fn ask(&self, client: IpAddr, requests: u64, bytes: u64) -> Result<(), u64> {
        let now_ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).ask(client, requests, bytes, now_ms)
    }
}

/// The answer to an HTTP request that is not looked at, and when to come again.
pub(super) fn refusal(error: &ErrorObjectOwned, wait_ms: u64) -> HttpResponse {
    let body = serde_json::json!({ "jsonrpc": "2.0", "id": null, "error": error });
    let mut answer = HttpResponse::new(HttpBody::from(body.to_string()));
    *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    answer.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    answer.headers_mut().insert("retry-after", HeaderValue::from(wait_ms.div_ceil(1_000)));
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
            match throttle.refuse(&request).await {
                Some(error) => MethodResponse::error(request.id, error),
                None => inner.call(request).await,
            }
        }
    }

    fn batch<'a>(&self, mut batch: Batch<'a>) -> impl Future<Output = Self::BatchResponse> + Send + 'a {
        let Self { inner, throttle } = self.clone();
        async move {
            for entry in batch.iter_mut() {
                if let Ok(BatchEntry::Call(call)) = entry
                    && let Some(error) = throttle.refuse(call).await
                {
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
