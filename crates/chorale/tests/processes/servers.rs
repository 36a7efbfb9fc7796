//! Servers between a node and who asks it, for tests in which they lie.

use jsonrpsee::{
    RpcModule,
    server::{ServerBuilder, ServerHandle},
};
use tokio::runtime::Runtime;

/// Serves as long as it is held.
pub(crate) struct Server {
    pub(crate) url: String,
    _handle: ServerHandle,
}

impl Server {
    /// Serves these methods on a free port.
    pub(crate) fn start<Context: Send + Sync + 'static>(runtime: &Runtime, module: RpcModule<Context>) -> Self {
        let server = runtime.block_on(ServerBuilder::default().build("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", server.local_addr().unwrap());
        let _guard = runtime.enter();
        Self { url, _handle: server.start(module) }
    }
}
