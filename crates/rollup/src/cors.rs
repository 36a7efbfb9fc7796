//! Which web pages may use the interface (CORS): a browser asks before it lets them.
//!
//! The interface holds no keys and knows no sessions, so a page can do no more with it than anybody else: unless the
//! configuration says otherwise, all of them may.

use jsonrpsee::core::BoxError;
use jsonrpsee::server::{HttpBody, HttpRequest, HttpResponse};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tower::{Layer, Service};

/// How long a browser may remember the answer, in seconds.
const REMEMBERED_S: &str = "86400";

/// The origins whose pages may use the interface; `*` stands for all.
#[derive(Clone, Debug)]
pub(crate) struct Cors(Arc<[String]>);

impl Cors {
    pub(crate) fn new(origins: &[String]) -> Self {
        Self(origins.into())
    }

    /// What the browser is told about an origin, if its pages may.
    fn allowed(&self, origin: &str) -> Option<String> {
        if self.0.iter().any(|it| it == "*") {
            return Some("*".to_owned());
        }
        self.0.iter().find(|it| *it == origin).cloned()
    }
}

impl<S> Layer<S> for Cors {
    type Service = WithCors<S>;

    fn layer(&self, inner: S) -> WithCors<S> {
        WithCors { cors: self.clone(), inner }
    }
}

/// Answers what browsers ask beforehand, and says in all other answers who may read them.
#[derive(Clone, Debug)]
pub(crate) struct WithCors<S> {
    cors: Cors,
    inner: S,
}

impl<S, B> Service<HttpRequest<B>> for WithCors<S>
where
    S: Service<HttpRequest<B>, Response = HttpResponse, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = HttpResponse;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: HttpRequest<B>) -> Self::Future {
        let origin = request.headers().get("origin").and_then(|origin| origin.to_str().ok());
        let allowed = origin.and_then(|origin| self.cors.allowed(origin)).and_then(|it| it.parse().ok());
        let is_preflight =
            request.method() == "OPTIONS" && request.headers().contains_key("access-control-request-method");
        let answer: Self::Future = if is_preflight {
            let mut answer = HttpResponse::new(HttpBody::empty());
            *answer.status_mut() = 204.try_into().expect("it is one");
            if allowed.is_some() {
                let headers = [
                    ("access-control-allow-methods", "POST"),
                    ("access-control-allow-headers", "content-type"),
                    ("access-control-max-age", REMEMBERED_S),
                ];
                for (name, value) in headers {
                    answer.headers_mut().insert(name, value.parse().expect("it is one"));
                }
            }
            Box::pin(std::future::ready(Ok(answer)))
        } else if origin.is_some() && allowed.is_none() && request.headers().contains_key("sec-websocket-key") {
            // Browsers leave this one to the server: they show pages of any origin what comes over WebSocket.
            let mut answer = HttpResponse::new(HttpBody::empty());
            *answer.status_mut() = 403.try_into().expect("it is one");
            Box::pin(std::future::ready(Ok(answer)))
        } else {
            Box::pin(self.inner.call(request))
        };
        Box::pin(async move {
            let mut answer = answer.await?;
            // What is stored of an answer must not be shown to pages of another origin.
            answer.headers_mut().append("vary", "origin".parse().expect("it is one"));
            if let Some(allowed) = allowed {
                answer.headers_mut().insert("access-control-allow-origin", allowed);
            }
            Ok(answer)
        })
    }
}
