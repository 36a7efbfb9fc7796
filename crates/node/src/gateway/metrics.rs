//! `GET /metrics`: figures in the text format of Prometheus.

use super::Backend;
use axum::http::HeaderValue;
use futures::future::{BoxFuture, FutureExt as _};
use jsonrpsee::{
    core::BoxError,
    server::{HttpBody, HttpRequest, HttpResponse},
};
use std::{
    fmt::Write as _,
    sync::Arc,
    task::{Context, Poll},
};
use tower::{Layer, Service};

pub(super) const PATH: &str = "/metrics";
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes all figures down.
pub(super) type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// The chain's figures, followed by those of the runtime: network, disk and tasks.
pub(super) fn render(backend: &Backend, runtime: &(dyn Fn() -> String + Send + Sync)) -> String {
    let position = backend.chain.position.borrow().clone();
    let gauges = [
        ("chorale_epoch", "The epoch the node is in.", position.epoch.epoch.0),
        ("chorale_view", "The view the node is in.", position.view.0),
        ("chorale_height_committed", "The last committed height.", backend.chain.committed.borrow().0),
        ("chorale_height_settled", "The last settled height.", backend.settlement.settled().borrow().0),
        ("chorale_height_attested", "The last attested height.", backend.attestation.attested().borrow().0),
        (
            "chorale_mempool_waiting",
            "Entries of the mempool that no payload in flight carries.",
            backend.pool.waiting(),
        ),
        ("chorale_validator", "1 if the node is a validator of the epoch.", u64::from(position.index.is_some())),
    ];
    let mut text = String::new();
    for (name, help, value) in gauges {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
    }
    text + &runtime()
}

/// Answers [`PATH`], and hands on everything else.
#[derive(Clone)]
pub(super) struct MetricsLayer(pub(super) Render);

impl<S> Layer<S> for MetricsLayer {
    type Service = Metrics<S>;

    fn layer(&self, inner: S) -> Metrics<S> {
        Metrics { inner, render: self.0.clone() }
    }
}

/// See [`MetricsLayer`].
#[derive(Clone)]
pub(super) struct Metrics<S> {
    inner: S,
    render: Render,
}

impl<S, B> Service<HttpRequest<B>> for Metrics<S>
where
    S: Service<HttpRequest<B>, Response = HttpResponse>,
    S::Error: Into<BoxError> + 'static,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    type Response = HttpResponse;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<HttpResponse, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: HttpRequest<B>) -> Self::Future {
        if request.method().as_str() != "GET" || request.uri().path() != PATH {
            let answer = self.inner.call(request);
            return async move { answer.await.map_err(Into::into) }.boxed();
        }
        let text = (self.render)();
        let mut answer = HttpResponse::new(HttpBody::from(text));
        let content_type = HeaderValue::from_static(CONTENT_TYPE);
        answer.headers_mut().insert("content-type", content_type);
        async move { Ok(answer) }.boxed()
    }
}
