//! The JSON-RPC interface of a node: what a server implements and a client calls, with the types and error codes of both.
//!
//! Methods are in the namespace `chorale_` ([`ChoraleApiServer`]). Byte strings are hexadecimal with `0x`. What is proven
//! travels in the canonical encoding, because that is what hashes and signatures are over; `light` decodes and verifies
//! it. `docs/rpc.md` describes every method with an example.

#![allow(missing_docs, reason = "jsonrpsee's macro makes undocumented items")]

mod base64_bytes;
mod error;
mod executed;
mod hex_bytes;
mod pages;
mod rpc;
mod types;

pub use base64_bytes::Base64Bytes;
pub use error::ErrorCode;
pub use executed::{ExecutionProofsApiClient, ExecutionProofsApiServer, ExecutorApiClient, ExecutorApiServer};
pub use hex_bytes::HexBytes;
pub use pages::{Figures, METRICS, Page, Pages, PagesLayer, WithPages};
pub use rpc::{ChoraleApiClient, ChoraleApiServer, NOTIFICATION_METHOD, SUBSCRIBE_METHOD, UNSUBSCRIBE_METHOD};
pub use types::{
    BATCH_UNITS_MAX, BatchAnswer, BatchRejection, BlockAnswer, BlockPayload, BundleRequest, DomainAnswer, EVIDENCE_MAX,
    EXECUTED_MAX, EXECUTION_ATTESTATIONS_MAX, EvidenceAnswer, ExecutionRequest, HeaderAnswer, HeaderHint, LaneAnswer,
    LaneBundles, LastContentAnswer, MempoolAnswer, NodeAnswer, OpenedPayload, Passed, RollupEvent, RollupFigures,
    State, StatusAnswer, SuspendedRollup, TransactionRequest, UnitBatch, ValidatorAnswer, ValidatorsAnswer,
};
