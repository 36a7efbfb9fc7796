//! Whether what a node says of a height is true.

use crate::{
    dispersal::keys::assignment_of,
    reveal::{RevealedPayload, exchange::reference_of},
};
use chorale_api::{BlockAnswer, BlockPayload, HexBytes};
use chorale_dispersal::{Malformed, Opened, verify_opened};
use chorale_light::{Light, LightError};
use chorale_types::{
    Attestation, AvailabilityCertificate, EpochInfo, Header, Height, Manifest, Outcome, PayloadStatus,
    codec::{Read, Shared, decode},
    limits::PAYLOAD_BYTES_MAX,
};
use std::sync::Arc;

/// A block as a quorum of the stake attests it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) header: Shared<Header>,
    pub(super) outcome: Outcome,
    pub(super) attestation: Attestation,
    pub(super) payloads: Vec<RevealedPayload>,
}

/// What is wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Wrong {
    /// Bytes that are not what they should be.
    #[error("{0}: {1}")]
    Encoding(&'static str, String),
    /// Another height than the one asked for.
    #[error("a block of height {actual} in answer to a question about height {expected}")]
    Height {
        /// Asked for.
        expected: Height,
        /// Answered.
        actual: Height,
    },
    /// The outcome is not attested.
    #[error(transparent)]
    Outcome(#[from] LightError),
    /// The header is not the one of the outcome.
    #[error("a header that the attested outcome does not name")]
    Header,
    /// There is not one payload for each certificate.
    #[error("{actual} payloads; the header has {expected}")]
    Payloads {
        /// Certificates of the header.
        expected: usize,
        /// Payloads in the answer.
        actual: usize,
    },
    /// A manifest is not the certificate's.
    #[error("payload {0} comes with another manifest than its certificate names")]
    Manifest(usize),
    /// A payload that is not the certificate's.
    #[error("payload {0} does not seal to the commitment of its certificate")]
    Content(usize),
    /// A payload is said to be malformed, and the attested outcome says that it opened.
    #[error("payload {0} is said to be malformed, and is attested to have opened")]
    NotMalformed(usize),
}

/// Checks the answer about `height`. None: it is true as far as it goes, but not attested yet.
///
/// Seals every payload again, which takes a few milliseconds for each megabyte.
pub(super) fn check(answer: BlockAnswer, height: Height, light: &Light) -> Result<Option<Block>, Wrong> {
    let header: Header = decoded("header", &answer.header)?;
    let outcome: Outcome = decoded("outcome", &answer.outcome)?;
    if header.height != height || outcome.height != height {
        let actual = if header.height == height { outcome.height } else { header.height };
        return Err(Wrong::Height { expected: height, actual });
    }
    let Some(attestation) = answer.attestation else { return Ok(None) };
    let attestation: Attestation = decoded("attestation", &attestation)?;
    light.verify(&outcome, &attestation)?;
    if header.id() != outcome.header {
        return Err(Wrong::Header);
    }
    // The attested outcome names the header, so both are of the epoch whose validators signed.
    let Some(epoch) = light.epoch(header.epoch) else { return Err(Wrong::Header) };
    let (expected, actual) = (header.payloads.len(), answer.payloads.len());
    if expected != actual || outcome.payloads.len() != expected {
        return Err(Wrong::Payloads { expected, actual });
    }
    let statuses = outcome.payloads.iter();
    let certificates = header.payloads.iter().zip(statuses).zip(answer.payloads).enumerate();
    let payloads = certificates
        .map(|(index, ((certificate, status), payload))| revealed(index, certificate, *status, &payload, epoch));
    let payloads = payloads.collect::<Result<_, Wrong>>()?;
    Ok(Some(Block { header: Shared::new(header), outcome, attestation, payloads }))
}

/// One payload, if it is the certificate's.
fn revealed(
    index: usize,
    certificate: &AvailabilityCertificate,
    status: PayloadStatus,
    payload: &BlockPayload,
    epoch: &EpochInfo,
) -> Result<RevealedPayload, Wrong> {
    let manifest: Manifest = decoded("manifest", &payload.manifest)?;
    if manifest.digest() != certificate.acknowledged.manifest {
        return Err(Wrong::Manifest(index));
    }
    let opened = match &payload.opened {
        Some(opened) => {
            let key = opened.key.0.as_slice().try_into();
            let key = key.map_err(|_| Wrong::Encoding("key", format!("{} bytes, not 32", opened.key.0.len())))?;
            let opened = Opened { payload: opened.payload.0.clone().into(), key };
            let fits = opened.payload.len() <= PAYLOAD_BYTES_MAX;
            if !fits || !verify_opened(&opened, &reference_of(certificate), &assignment_of(epoch)) {
                return Err(Wrong::Content(index));
            }
            Ok(opened)
        }
        None if status == PayloadStatus::Opened => return Err(Wrong::NotMalformed(index)),
        // Why it does not open is nobody's business but the log's of those who tried.
        None => Err(Malformed::NotACodeword),
    };
    Ok(RevealedPayload { certificate: certificate.clone(), manifest: Arc::new(manifest), opened })
}

fn decoded<T: Read<Cfg = ()>>(what: &'static str, bytes: &HexBytes) -> Result<T, Wrong> {
    decode(bytes.0.clone()).map_err(|error| Wrong::Encoding(what, error.to_string()))
}
