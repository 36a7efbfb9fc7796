//! The server.

use super::{
    Backend,
    answers::{Held, guard, places_for, write_time},
    limits::{Clients, Limits},
    metrics::{MetricsLayer, render},
    places::{Full, Place, Places},
    socket::{self, Answered, Session},
    throttle::{Client, Throttle, Throttled, refusal},
};
use axum::http::{HeaderValue, Method, StatusCode};
use chorale_api::{ChoraleApiServer as _, ErrorCode};
use chorale_types::limits::HEADER_PAYLOADS_MAX;
use futures::{FutureExt as _, future::BoxFuture};
use http_body_util::BodyExt as _;
use jsonrpsee::{
    Methods,
    core::BoxError,
    server::{
        BatchRequestConfig, HttpBody, HttpRequest, HttpResponse, ServerBuilder, ServerConfig, ServerHandle, StopHandle,
        middleware::{http::ProxyGetRequestLayer, rpc::RpcServiceBuilder},
        serve_with_graceful_shutdown, stop_channel, ws,
    },
    types::ErrorObjectOwned,
};
use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
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
/// Bytes of one answer at most: the largest lane in hexadecimal.
const RESPONSE_BYTES_MAX: u32 = 64 * 1024 * 1024;
/// Connections at a time.
const CONNECTIONS_MAX: u32 = 1_024;
/// Connections of one client at a time, and requests.
const CONNECTIONS_OF_CLIENT_MAX: usize = 256;
/// The pause after a connection could not be accepted.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Requests of one JSON-RPC batch.
const BATCH_REQUESTS_MAX: u32 = 256;

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
    let config = ServerConfig::builder()
        .max_request_body_size(REQUEST_BYTES_MAX)
        .max_response_body_size(RESPONSE_BYTES_MAX)
        .max_connections(CONNECTIONS_MAX)
        .set_batch_request_config(BatchRequestConfig::Limit(BATCH_REQUESTS_MAX))
        .http_only()
        .build();
    let figures = {
        let backend = backend.clone();
        MetricsLayer(Arc::new(move || render(&backend, &runtime)))
    };
    // What load balancers and orchestrators ask.
    let pages = ProxyGetRequestLayer::new([("/healthz", "chorale_health"), ("/readyz", "chorale_ready")])
        .expect("the paths are constants that begin with a slash");
    // A block in hexadecimal.
    let block_bytes_max = 2 * HEADER_PAYLOADS_MAX * backend.genesis.parameters().payload_bytes_max as usize;
    let (long, long_of_client) = places_for(block_bytes_max);
    let throttle = Throttle::new(Clients::new(limits), Places::new(long, long_of_client));
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
    let methods = Methods::from(backend.into_rpc());
    let service = {
        let (methods, stop) = (methods.clone(), stop.clone());
        move |request: HttpRequest| {
            let answer = service.clone().build(methods.clone(), stop.clone()).call(request);
            let failed = |error: BoxError| page(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
            answer.map(move |answer| answer.unwrap_or_else(failed)).boxed()
        }
    };
    // One connection may carry many requests at a time.
    let requests = Places::new(CONNECTIONS_MAX as usize, CONNECTIONS_OF_CLIENT_MAX);
    let server = Server { service: Arc::new(service), methods, throttle, requests, stop };
    tokio::spawn(server.accept(listener));
    Ok(handle)
}

type Service = dyn Fn(HttpRequest) -> BoxFuture<'static, HttpResponse> + Send + Sync;

#[derive(Clone)]
struct Server {
    /// Answers HTTP requests with calls.
    service: Arc<Service>,
    methods: Methods,
    throttle: Throttle,
    requests: Places,
    stop: StopHandle,
}

impl Server {
    /// Takes connections until the handle of the server is gone.
    async fn accept(self, listener: TcpListener) {
        let places = Places::new(CONNECTIONS_MAX as usize, CONNECTIONS_OF_CLIENT_MAX);
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
                    tokio::spawn(self.clone().serve(stream, client, Arc::new(place)));
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
    async fn serve(self, stream: TcpStream, client: SocketAddr, place: Arc<Place>) {
        let hang_up = Arc::new(Notify::new());
        let stopped = self.stop.clone().shutdown();
        let answer = {
            let hang_up = hang_up.clone();
            tower::service_fn(move |request: HttpRequest<_>| {
                let (server, place, hang_up) = (self.clone(), place.clone(), hang_up.clone());
                async move { Ok::<_, Infallible>(server.answer(request, client.ip(), place, hang_up).await) }
            })
        };
        tokio::select! {
            _ = serve_with_graceful_shutdown(stream, answer, stopped) => {}
            () = hang_up.notified() => debug!(%client, "does not take a long answer, and is hung up on"),
        }
    }

    async fn answer(
        self,
        mut request: HttpRequest<hyper::body::Incoming>,
        address: IpAddr,
        place: Arc<Place>,
        hang_up: Arc<Notify>,
    ) -> HttpResponse {
        // Whom the limits are for.
        let client =
            Client { address, is_counted: !ws::is_upgrade_request(&request), _place: place, held: Held::default() };
        if !client.is_counted {
            return self.upgrade(request, client);
        }
        // Held as long as the request takes, also while its body comes.
        let _own = match self.requests.take(address) {
            Ok(own) => own,
            Err(full) => return refusal(&too_many_requests(full), 1_000),
        };
        if let Some(refused) = self.throttle.refuse_body(address, &request) {
            return refused;
        }
        let held = client.held.clone();
        request.extensions_mut().insert(client);
        let answer = (self.service)(request.map(HttpBody::new)).await;
        guard(answer, held, hang_up, write_time).await
    }

    /// Turns the connection into a WebSocket.
    fn upgrade(self, request: HttpRequest<hyper::body::Incoming>, client: Client) -> HttpResponse {
        let mut handshake = soketto::handshake::http::Server::new();
        let response = match handshake.receive_request(&request) {
            Ok(response) => response,
            Err(error) => return page(StatusCode::BAD_REQUEST, format!("no WebSocket handshake: {error}")),
        };
        let mut methods = self.methods.clone();
        methods.extensions_mut().insert(client.clone());
        let (throttle, stopped) = (self.throttle.clone(), self.stop.clone().shutdown());
        let answer = {
            let client = client.clone();
            move |data| self.clone().answer_message(data, client.clone()).boxed()
        };
        let message_bytes_max = REQUEST_BYTES_MAX as usize;
        let session = Session { client, throttle, methods, answer: Box::new(answer), message_bytes_max };
        tokio::spawn(socket::talk(request, handshake, session, stopped));
        response.map(|()| HttpBody::default())
    }

    /// The answer to what came over a WebSocket: the same as over HTTP.
    async fn answer_message(self, data: Vec<u8>, client: Client) -> Answered {
        let (address, held) = (client.address, Held::default());
        let _own = match self.requests.take(address) {
            Ok(own) => own,
            Err(full) => {
                let error = too_many_requests(full);
                let answer = serde_json::json!({ "jsonrpc": "2.0", "id": null, "error": error });
                return (Some(answer.to_string()), held);
            }
        };
        let mut request = HttpRequest::new(HttpBody::from(data));
        *request.method_mut() = Method::POST;
        request.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
        request.extensions_mut().insert(Client { held: held.clone(), ..client });
        let whole = (self.service)(request).await.into_body().collect().await;
        match whole.map(|whole| String::from_utf8(whole.to_bytes().into())) {
            // A notification has no answer.
            Ok(Ok(text)) => (Some(text).filter(|text| !text.is_empty()), held),
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
