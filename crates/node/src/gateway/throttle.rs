//! Holds what clients send against their limits: bytes of an HTTP request before its body is read, and every call.

use super::{limits::Clients, places::Place, server::REQUEST_BYTES_MAX};
use axum::http::{HeaderValue, StatusCode};
use chorale_api::ErrorCode;
use jsonrpsee::{
    core::middleware::{Batch, BatchEntry, BatchEntryErr, Notification},
    server::middleware::rpc::RpcServiceT,
    server::{HttpBody, HttpRequest, HttpResponse, MethodResponse, middleware::rpc::Request},
    types::ErrorObjectOwned,
};
use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

/// Load balancers and orchestrators ask these, and cost nothing.
const FREE: [&str; 2] = ["chorale_health", "chorale_ready"];

/// Who sent a request: an extension of it.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) address: IpAddr,
    /// Its bytes were counted before they were read; those of a WebSocket could not be.
    pub(super) is_counted: bool,
    /// Of its connection: given back when the last request of it is done, or its WebSocket closed.
    pub(super) _place: Arc<Place>,
}

/// The clients of all connections. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Throttle {
    clients: Arc<Mutex<Clients>>,
    start: Instant,
}

impl Throttle {
    pub(super) fn new(clients: Clients) -> Self {
        Self { clients: Arc::new(Mutex::new(clients)), start: Instant::now() }
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

    /// The error for a call that comes too early.
    fn refuse(&self, call: &Request<'_>) -> Option<ErrorObjectOwned> {
        let &Client { address, is_counted, .. } = call.extensions().get::<Client>()?;
        if FREE.contains(&call.method_name()) {
            return None;
        }
        let bytes = if is_counted { 0 } else { call.params().len_bytes() as u64 };
        let wait_ms = self.ask(address, 1, bytes).err()?;
        Some(too_many(address, wait_ms))
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
        let refused = self.throttle.refuse(&request);
        let inner = self.inner.clone();
        async move {
            match refused {
                Some(error) => MethodResponse::error(request.id, error),
                None => inner.call(request).await,
            }
        }
    }

    fn batch<'a>(&self, mut batch: Batch<'a>) -> impl Future<Output = Self::BatchResponse> + Send + 'a {
        for entry in batch.iter_mut() {
            if let Ok(BatchEntry::Call(call)) = entry
                && let Some(error) = self.throttle.refuse(call)
            {
                *entry = Err(BatchEntryErr::new(call.id.clone(), error));
            }
        }
        self.inner.batch(batch)
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = Self::NotificationResponse> + Send + 'a {
        self.inner.notification(notification)
    }
}
