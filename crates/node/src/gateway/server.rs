//! The server.

use super::{
    Backend,
    answers::{Held, LongAnswers, Timed, guard, write_time},
    backend::HAND_OVERS_BYTES_MAX,
    figures::figures,
    limits::{Clients, Limits},
    places::{Full, Place, Places},
    socket::{self, Answered, Session, refusal_of},
    throttle::{Client, PLACE_WAIT, Throttle, Throttled, content_length, refusal, unread},
    watched::{Heard, Watched},
};
use axum::http::{HeaderValue, Method, StatusCode};
use chorale_api::{ChoraleApiServer as _, ErrorCode, METRICS, Page, PagesLayer};
use chorale_types::{
    ENTRY_OVERHEAD_BYTES,
    limits::{HEADER_PAYLOADS_MAX, PAYLOAD_ENTRIES_MAX},
};
use futures::{FutureExt as _, future::BoxFuture};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use jsonrpsee::{
    Methods,
    core::BoxError,
    server::{
        BatchRequestConfig, HttpBody, HttpRequest, HttpResponse, ServerBuilder, ServerConfig, ServerHandle, StopHandle,
        middleware::{http::ProxyGetRequestLayer, rpc::RpcServiceBuilder},
        stop_channel, ws,
    },
    types::{ErrorObjectOwned, error::reject_too_big_request},
};
use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
};
use tower::Service as _;
use tracing::{debug, warn};

/// Bytes of one request at most: a full batch of transactions in hexadecimal.
pub(super) const REQUEST_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// Bytes of one answer on top of the largest block: for all that is no payload, and for other answers. The longest of those
/// are proofs with all their hand-overs, in hexadecimal.
const ANSWER_BYTES: usize = 2 * HAND_OVERS_BYTES_MAX + 2 * 1024 * 1024;
/// Bytes of a manifest for each entry of its payload.
const MANIFEST_ENTRY_BYTES: usize = 8;
/// Connections at a time, and requests.
const CONNECTIONS_MAX: usize = 1_024;
/// Connections of one client at a time, and requests.
const CONNECTIONS_OF_CLIENT_MAX: usize = 256;
/// Connections that are WebSockets. Each may take memory for one message.
const SOCKETS_MAX: usize = 256;
/// Those of one client.
const SOCKETS_OF_CLIENT_MAX: usize = 32;
/// How long a connection may take for the next request, from the answer to the end of its head: longer than clients keep
/// connections for later.
const IDLE_MAX: Duration = Duration::from_secs(120);
/// How long requests under way may take when the server stops.
const STOP_TIME: Duration = Duration::from_secs(5);
/// How long a client may take nothing of what there is for it: as long as for the longest answer.
const STALL_MAX: Duration = Duration::from_secs(30);
/// The pause after a connection could not be accepted.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Requests of one JSON-RPC batch.
pub(super) const BATCH_REQUESTS_MAX: u32 = 256;

/// Why there is no API.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The address cannot be listened on.
    #[error("the API cannot listen on {address}: {error}; choose another listen_rpc, or stop what listens there")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        error: std::io::Error,
    },
}

/// Starts to serve. Stops when the handle is dropped. `runtime` writes down the figures of the runtime.
///
/// # Errors
///
/// The address cannot be listened on.
pub async fn start(
    address: SocketAddr,
    limits: Limits,
    backend: Backend,
    runtime: impl Fn() -> String + Send + Sync + 'static,
) -> Result<ServerHandle, GatewayError> {
    let answer_bytes_max = answer_bytes_max(backend.genesis.parameters().payload_bytes_max as usize);
    let config = ServerConfig::builder()
        .max_request_body_size(REQUEST_BYTES_MAX)
        .max_response_body_size(u32::try_from(answer_bytes_max).unwrap_or(u32::MAX))
        .max_connections(u32::try_from(CONNECTIONS_MAX).expect("it is a thousand"))
        .set_batch_request_config(BatchRequestConfig::Limit(BATCH_REQUESTS_MAX))
        .http_only()
        .build();
    let figures = {
        let backend = backend.clone();
        let page = move |path: &str| (path == METRICS).then(|| Page::of(figures(&backend, &runtime)));
        PagesLayer::new(Arc::new(page))
    };
    // What load balancers and orchestrators ask.
    let pages = ProxyGetRequestLayer::new([("/healthz", "chorale_health"), ("/readyz", "chorale_ready")])
        .expect("the paths are constants that begin with a slash");
    let throttle = Throttle::new(Clients::new(limits), LongAnswers::new(answer_bytes_max));
    let calls = {
        let throttle = throttle.clone();
        RpcServiceBuilder::new().layer_fn(move |inner| Throttled { inner, throttle: throttle.clone() })
    };
    let service = ServerBuilder::with_config(config)
        .set_http_middleware(tower::ServiceBuilder::new().layer(figures).layer(pages))
        .set_rpc_middleware(calls)
        .to_service_builder();
    let listener = TcpListener::bind(address).await.map_err(|error| GatewayError::Listen { address, error })?;
    let (stop, handle) = stop_channel();
    let service = {
        let (methods, stop) = (Methods::from(backend.clone().into_rpc()), stop.clone());
        move |request: HttpRequest| {
            let answer = service.clone().build(methods.clone(), stop.clone()).call(request);
            let failed = |error: BoxError| page(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
            answer.map(move |answer| answer.unwrap_or_else(failed)).boxed()
        }
    };
    let server = Server {
        service: Arc::new(service),
        backend,
        throttle,
        requests: Places::new(CONNECTIONS_MAX, CONNECTIONS_OF_CLIENT_MAX),
        sockets: Places::new(SOCKETS_MAX, SOCKETS_OF_CLIENT_MAX),
        stop,
    };
    tokio::spawn(server.accept(listener));
    Ok(handle)
}

/// Bytes of the longest answer: the largest block in hexadecimal, whose manifests may be longer than its content.
fn answer_bytes_max(payload_bytes_max: usize) -> usize {
    let entries = PAYLOAD_ENTRIES_MAX.min(payload_bytes_max / ENTRY_OVERHEAD_BYTES);
    2 * HEADER_PAYLOADS_MAX * (payload_bytes_max + entries * MANIFEST_ENTRY_BYTES) + ANSWER_BYTES
}

type Service = dyn Fn(HttpRequest) -> BoxFuture<'static, HttpResponse> + Send + Sync;

#[derive(Clone)]
struct Server {
    /// Answers HTTP requests with calls.
    service: Arc<Service>,
    backend: Backend,
    throttle: Throttle,
    requests: Places,
    sockets: Places,
    stop: StopHandle,
}

impl Server {
    /// Takes connections until the handle of the server is gone.
    async fn accept(self, listener: TcpListener) {
        let places = Places::new(CONNECTIONS_MAX, CONNECTIONS_OF_CLIENT_MAX);
        loop {
            let accepted = tokio::select! {
                () = self.stop.clone().shutdown() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, client)) => {
                    let place = match places.take(client.ip()) {
                        Ok(place) => place,
                        Err(full) => {
                            debug!(%client, %full, "a connection is closed at once");
                            continue;
                        }
                    };
                    if let Err(error) = stream.set_nodelay(true) {
                        debug!(%client, %error, "a connection keeps small packets back");
                    }
                    tokio::spawn(self.clone().serve(stream, client, place));
                }
                Err(error) => {
                    // Out of files, most likely: others have to end first.
                    warn!(%error, "the API cannot accept a connection");
                    tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                }
            }
        }
    }

    /// Serves one connection.
    async fn serve(self, stream: TcpStream, client: SocketAddr, _place: Place) {
        let hang_up = Arc::new(Notify::new());
        let stopped = self.stop.clone().shutdown();
        let stream = Watched::new(stream, STALL_MAX);
        let answer = {
            let (hang_up, heard) = (hang_up.clone(), stream.heard());
            service_fn(move |request| {
                let answer = self.clone().answer(request, client.ip(), hang_up.clone(), heard.clone());
                answer.map(Ok::<_, Infallible>)
            })
        };
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(IDLE_MAX);
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), answer).with_upgrades());
        tokio::select! {
            _ = &mut connection => {}
            () = hang_up.notified() => debug!(%client, "does not take an answer, and is hung up on"),
            () = stopped => {
                connection.as_mut().graceful_shutdown();
                let _ = tokio::time::timeout(STOP_TIME, connection).await;
            }
        }
    }

    async fn answer(
        self,
        mut request: HttpRequest<Incoming>,
        address: IpAddr,
        hang_up: Arc<Notify>,
        heard: Heard,
    ) -> HttpResponse {
        if ws::is_upgrade_request(&request) {
            return self.upgrade(request, address, heard);
        }
        let length = content_length(&request).unwrap_or(u64::from(REQUEST_BYTES_MAX));
        if length > u64::from(REQUEST_BYTES_MAX) {
            return unread(StatusCode::PAYLOAD_TOO_LARGE, &reject_too_big_request(REQUEST_BYTES_MAX));
        }
        // Held until the answer is written, and while the body comes.
        let place = match self.requests.take(address) {
            Ok(place) => place,
            Err(full) => return refusal(&too_many_requests(full), 1_000),
        };
        if let Some(refused) = self.throttle.refuse_request(address, &request) {
            return refused;
        }
        let held = Held::default();
        request.extensions_mut().insert(Client { address, held: held.clone() });
        let time = write_time(usize::try_from(length).unwrap_or(usize::MAX));
        let answer = (self.service)(request.map(|body| HttpBody::new(Timed::new(body, time)))).await;
        guard(answer, place, held, hang_up, write_time).await
    }

    /// Turns the connection into a WebSocket.
    fn upgrade(self, request: HttpRequest<Incoming>, client: IpAddr, heard: Heard) -> HttpResponse {
        let place = match self.sockets.take(client) {
            Ok(place) => place,
            Err(full) => return refusal(&ErrorCode::TooManyRequests.with(format!("WebSockets: {full}")), 1_000),
        };
        let mut handshake = soketto::handshake::http::Server::new();
        let response = match handshake.receive_request(&request) {
            Ok(response) => response,
            Err(error) => return page(StatusCode::BAD_REQUEST, format!("no WebSocket handshake: {error}")),
        };
        let (backend, throttle, stopped) = (self.backend.clone(), self.throttle.clone(), self.stop.clone().shutdown());
        let answer = move |data| self.clone().answer_message(data, client).boxed();
        let session = Session { client, throttle, backend, heard, answer: Box::new(answer) };
        tokio::spawn(async move {
            socket::talk(request, handshake, session, stopped).await;
            drop(place);
        });
        response.map(|()| HttpBody::default())
    }

    /// The answer to what came over a WebSocket: the same as over HTTP.
    async fn answer_message(self, data: Vec<u8>, address: IpAddr) -> Answered {
        let held = Held::default();
        let _place = match self.requests.wait(address, 1, PLACE_WAIT).await {
            Ok(place) => place,
            Err(full) => return (refusal_of(&data, &too_many_requests(full)), held),
        };
        let mut request = HttpRequest::new(HttpBody::from(data));
        *request.method_mut() = Method::POST;
        request.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
        request.extensions_mut().insert(Client { address, held: held.clone() });
        let whole = (self.service)(request).await.into_body().collect().await;
        match whole.map(|whole| String::from_utf8(whole.to_bytes().into())) {
            // A notification has no answer.
            Ok(Ok(text)) => {
                held.keep(text.len());
                (Some(text).filter(|text| !text.is_empty()), held)
            }
            other => {
                debug!(client = %address, ?other, "a message that has no answer");
                (None, held)
            }
        }
    }
}

fn page(status: StatusCode, text: String) -> HttpResponse {
    let mut page = HttpResponse::new(HttpBody::from(text));
    *page.status_mut() = status;
    page
}

fn too_many_requests(full: Full) -> ErrorObjectOwned {
    ErrorCode::TooManyRequests.with(format!("requests: {full}"))
}
