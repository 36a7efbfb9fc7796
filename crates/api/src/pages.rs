//! Pages for operators' tools beside the JSON-RPC of a server, by `GET`: figures, health.

use jsonrpsee::{
    core::BoxError,
    server::{HttpBody, HttpRequest, HttpResponse},
};
use std::{
    fmt::{Display, Write as _},
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tower::{Layer, Service};

/// Where [`Figures`] are.
pub const METRICS: &str = "/metrics";
/// What Prometheus expects of them.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The status of HTTP.
    pub status: u16,
    /// What is on it.
    pub text: String,
}

impl Page {
    /// A page that is there.
    #[must_use]
    pub const fn of(text: String) -> Self {
        Self { status: 200, text }
    }
}

/// The page of a path, if there is one.
pub type Pages = Arc<dyn Fn(&str) -> Option<Page> + Send + Sync>;

/// Answers `GET` of its pages, and hands on everything else.
#[derive(Clone)]
pub struct PagesLayer(Pages);

impl PagesLayer {
    /// Answers with these.
    #[must_use]
    pub fn new(pages: Pages) -> Self {
        Self(pages)
    }
}

impl<S> Layer<S> for PagesLayer {
    type Service = WithPages<S>;

    fn layer(&self, inner: S) -> WithPages<S> {
        WithPages { inner, pages: Arc::clone(&self.0) }
    }
}

/// See [`PagesLayer`].
#[derive(Clone)]
pub struct WithPages<S> {
    inner: S,
    pages: Pages,
}

impl<S, B> Service<HttpRequest<B>> for WithPages<S>
where
    S: Service<HttpRequest<B>, Response = HttpResponse>,
    S::Error: Into<BoxError> + 'static,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    type Response = HttpResponse;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: HttpRequest<B>) -> Self::Future {
        let is_get = request.method().as_str() == "GET";
        let Some(Page { status, text }) = is_get.then(|| (self.pages)(request.uri().path())).flatten() else {
            let answer = self.inner.call(request);
            return Box::pin(async move { answer.await.map_err(Into::into) });
        };
        let mut answer = HttpResponse::new(HttpBody::from(text));
        *answer.status_mut() = status.try_into().expect("pages have a status of HTTP");
        answer.headers_mut().insert("content-type", CONTENT_TYPE.parse().expect("it is one"));
        Box::pin(std::future::ready(Ok(answer)))
    }
}

/// Figures in the text format of Prometheus.
#[derive(Clone, Debug, Default)]
pub struct Figures(String);

impl Figures {
    /// Something that rises and falls.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family("gauge", name, help, [(String::new(), value)]);
    }

    /// The same of several things, which labels tell apart: `rollup="1001"`, for example.
    pub fn gauges<V: Display>(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (String, V)>) {
        self.family("gauge", name, help, values);
    }

    /// What only rises, of several things.
    pub fn counters<V: Display>(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (String, V)>) {
        self.family("counter", name, help, values);
    }

    fn family<V: Display>(
        &mut self,
        kind: &str,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (String, V)>,
    ) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in values {
            let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
    }

    /// All of them, as they are served.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Figures;

    #[test]
    fn figures_are_written_as_prometheus_reads_them() {
        let mut figures = Figures::default();
        figures.gauge("height", "The last height.", 7);
        figures.counters("made_total", "Blocks.", [("rollup=\"1\"".to_owned(), 3), ("rollup=\"2\"".to_owned(), 4)]);
        let expected = "# HELP height The last height.\n# TYPE height gauge\nheight 7\n# HELP made_total Blocks.\n# TYPE \
                        made_total counter\nmade_total{rollup=\"1\"} 3\nmade_total{rollup=\"2\"} 4\n";
        assert_eq!(figures.into_text(), expected);
    }
}
