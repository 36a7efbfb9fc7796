//! Every error that a node answers with.

use jsonrpsee::types::ErrorObjectOwned;

/// Error codes. Those from -32700 to -32600 are JSON-RPC's own and mean malformed requests; those from -32010 to -32000 are
/// the server's, about sizes and connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum ErrorCode {
    /// A parameter has a value that is not allowed; the message says which and what would be right.
    InvalidParameter = -32602,
    /// The pool refuses a submission; the message says why.
    Rejected = -32050,
    /// Too many requests wait on this node: try again, or another node.
    Busy = -32051,
    /// The node is stopping: use another one.
    Stopping = -32052,
    /// The node does not know it: it may be too old, or never have been.
    NotFound = -32053,
    /// It was kept for as long as the chain says: ask an archive node.
    Pruned = -32054,
    /// It is not there yet: ask again later.
    NotYet = -32055,
    /// The client has asked for too much lately: the message says when it may ask again.
    TooManyRequests = -32056,
}

impl ErrorCode {
    /// All codes.
    pub const ALL: [Self; 8] = [
        Self::InvalidParameter,
        Self::Rejected,
        Self::Busy,
        Self::Stopping,
        Self::NotFound,
        Self::Pruned,
        Self::NotYet,
        Self::TooManyRequests,
    ];

    /// The number.
    #[must_use]
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// The error with a message that says what to do.
    #[must_use]
    pub fn with(self, message: impl Into<String>) -> ErrorObjectOwned {
        ErrorObjectOwned::owned::<()>(self.code(), message, None)
    }
}
