//! The server.

use super::{
    Backend,
    limits::{Clients, Limits},
    metrics::{MetricsLayer, render},
    places::{Place, Places},
    throttle::{Client, Throttle, Throttled, refusal},
};
use chorale_api::{ChoraleApiServer as _, ErrorCode};
use jsonrpsee::server::{
    BatchRequestConfig, HttpRequest, ServerBuilder, ServerConfig, ServerHandle, StopHandle,
    middleware::{http::ProxyGetRequestLayer, rpc::RpcServiceBuilder},
    serve_with_graceful_shutdown, stop_channel, ws,
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::{TcpListener, TcpStream};
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
/// Subscriptions of one connection.
const SUBSCRIPTIONS_PER_CONNECTION_MAX: u32 = 32;
/// Messages to one WebSocket connection that wait until it takes them; each may be as long as an answer.
const MESSAGES_BUFFERED_MAX: u32 = 4;
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
        .max_subscriptions_per_connection(SUBSCRIPTIONS_PER_CONNECTION_MAX)
        .set_message_buffer_capacity(MESSAGES_BUFFERED_MAX)
        .set_batch_request_config(BatchRequestConfig::Limit(BATCH_REQUESTS_MAX))
        .build();
    let figures = {
        let backend = backend.clone();
        MetricsLayer(Arc::new(move || render(&backend, &runtime)))
    };
    // What load balancers and orchestrators ask.
    let pages = ProxyGetRequestLayer::new([("/healthz", "chorale_health"), ("/readyz", "chorale_ready")])
        .expect("the paths are constants that begin with a slash");
    let throttle = Throttle::new(Clients::new(limits));
    // One connection may carry many requests at a time.
    let requests = Places::new(CONNECTIONS_MAX as usize, CONNECTIONS_OF_CLIENT_MAX);
    let bodies = throttle.clone();
    let calls = RpcServiceBuilder::new().layer_fn(move |inner| Throttled { inner, throttle: throttle.clone() });
    let service = ServerBuilder::with_config(config)
        .set_http_middleware(tower::ServiceBuilder::new().layer(figures).layer(pages))
        .set_rpc_middleware(calls)
        .to_service_builder();
    let listener = TcpListener::bind(address).await.map_err(|error| GatewayError::Listen { address, error })?;
    let (stop, handle) = stop_channel();
    let methods = jsonrpsee::Methods::from(backend.into_rpc());
    let serve = move |stream: TcpStream, client: SocketAddr, stop: StopHandle, place: Place| {
        let (service, methods, bodies) = (service.clone(), methods.clone(), bodies.clone());
        let requests = requests.clone();
        let (stopped, place) = (stop.clone(), Arc::new(place));
        let answer = tower::service_fn(move |mut request: HttpRequest<_>| {
            // Whom the limits are for.
            let (address, is_counted) = (client.ip(), !ws::is_upgrade_request(&request));
            request.extensions_mut().insert(Client { address, is_counted, _place: place.clone() });
            let (own, refused) = match requests.take(address) {
                Ok(own) => (Some(own), if is_counted { bodies.refuse_body(address, &request) } else { None }),
                Err(full) => {
                    (None, Some(refusal(&ErrorCode::TooManyRequests.with(format!("requests: {full}")), 1_000)))
                }
            };
            let mut service = service.clone().build(methods.clone(), stop.clone());
            async move {
                // Held as long as the request takes, also while its body comes.
                let _own = own;
                match refused {
                    Some(refused) => Ok(refused),
                    None => service.call(request).await,
                }
            }
        });
        tokio::spawn(serve_with_graceful_shutdown(stream, answer, stopped.shutdown()));
    };
    tokio::spawn(accept(listener, stop, serve));
    Ok(handle)
}

/// Takes connections until the handle of the server is gone.
async fn accept(listener: TcpListener, stop: StopHandle, serve: impl Fn(TcpStream, SocketAddr, StopHandle, Place)) {
    let places = Places::new(CONNECTIONS_MAX as usize, CONNECTIONS_OF_CLIENT_MAX);
    loop {
        let accepted = tokio::select! {
            () = stop.clone().shutdown() => return,
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
                serve(stream, client, stop.clone(), place);
            }
            Err(error) => {
                // Out of files, most likely: others have to end first.
                warn!(%error, "the API cannot accept a connection");
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
}
