//! Holds every call against the limits of its client.

use super::limits::Clients;
use chorale_api::ErrorCode;
use jsonrpsee::{
    core::middleware::{Batch, BatchEntry, BatchEntryErr, Notification},
    server::middleware::rpc::RpcServiceT,
    server::{MethodResponse, middleware::rpc::Request},
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
#[derive(Clone, Copy, Debug)]
pub(super) struct Client(pub(super) IpAddr);

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

    /// The error for a call that comes too early.
    fn refuse(&self, call: &Request<'_>) -> Option<ErrorObjectOwned> {
        let Client(client) = *call.extensions().get::<Client>()?;
        if FREE.contains(&call.method_name()) {
            return None;
        }
        let bytes = call.params().len_bytes() as u64;
        let now_ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let wait_ms = clients.ask(client, bytes, now_ms).err()?;
        Some(ErrorCode::TooManyRequests.with(format!("{client} asks for too much; try again in {wait_ms} ms")))
    }
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
