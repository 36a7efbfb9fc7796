//! The server.

use super::{
    Backend,
    metrics::{MetricsLayer, render},
};
use chorale_api::ChoraleApiServer as _;
use jsonrpsee::server::{
    BatchRequestConfig, ServerBuilder, ServerConfig, ServerHandle, middleware::http::ProxyGetRequestLayer,
};
use std::{net::SocketAddr, sync::Arc};

/// Bytes of one request at most: a full batch of transactions in hexadecimal.
const REQUEST_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// Bytes of one answer at most: the largest lane in hexadecimal.
const RESPONSE_BYTES_MAX: u32 = 64 * 1024 * 1024;
/// Connections at a time.
const CONNECTIONS_MAX: u32 = 1_024;
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
    backend: Backend,
    runtime: impl Fn() -> String + Send + Sync + 'static,
) -> Result<ServerHandle, GatewayError> {
    let config = ServerConfig::builder()
        .max_request_body_size(REQUEST_BYTES_MAX)
        .max_response_body_size(RESPONSE_BYTES_MAX)
        .max_connections(CONNECTIONS_MAX)
        .set_batch_request_config(BatchRequestConfig::Limit(BATCH_REQUESTS_MAX))
        .set_tcp_no_delay(true)
        .build();
    let figures = {
        let backend = backend.clone();
        MetricsLayer(Arc::new(move || render(&backend, &runtime)))
    };
    // What load balancers and orchestrators ask.
    let pages = ProxyGetRequestLayer::new([("/healthz", "chorale_health"), ("/readyz", "chorale_ready")])
        .expect("the paths are constants that begin with a slash");
    let server = ServerBuilder::with_config(config)
        .set_http_middleware(tower::ServiceBuilder::new().layer(figures).layer(pages))
        .build(address)
        .await
        .map_err(|error| GatewayError::Listen { address, error })?;
    Ok(server.start(backend.into_rpc()))
}
