//! Malicious builders: payloads whose commitment and proofs are right and that still open to nothing.

use crate::{Assignment, Geometry, Sealed, coding, geometry::KEY_BYTES, transform};
use chorale_types::{BuilderId, View, codec::TooLong};

/// Seals, then overwrites chunk `index` with other bytes before committing. All chunks pass their check, and the
/// payload is malformed. With a single chunk every package is a codeword: the payload is then merely another one, or
/// one with wrong padding.
///
/// # Errors
///
/// See [`seal`](crate::seal).
///
/// # Panics
///
/// If there is no chunk `index`.
pub fn seal_bad_encoding(
    payload: &[u8],
    key: &[u8; KEY_BYTES],
    builder: BuilderId,
    expiry: View,
    assignment: &Assignment,
    index: u16,
) -> Result<Sealed, TooLong> {
    let geometry = Geometry::new(assignment, payload.len())?;
    let mut codeword = codeword(&geometry, |package| transform::wrap(payload, key, package));
    let start = usize::from(index) * geometry.chunk_bytes();
    for byte in &mut codeword[start..start + geometry.chunk_bytes()] {
        *byte = !*byte;
    }
    Ok(Sealed::new(codeword, geometry, builder, expiry, assignment))
}

/// Seals with the last byte of the padding set. `None` if the payload leaves no room for padding.
///
/// # Errors
///
/// See [`seal`](crate::seal).
pub fn seal_bad_padding(
    payload: &[u8],
    key: &[u8; KEY_BYTES],
    builder: BuilderId,
    expiry: View,
    assignment: &Assignment,
) -> Result<Option<Sealed>, TooLong> {
    let geometry = Geometry::new(assignment, payload.len())?;
    let mut padded = payload.to_vec();
    padded.resize(geometry.package_bytes() - KEY_BYTES, 0);
    if padded.len() == payload.len() {
        return Ok(None);
    }
    if let Some(last) = padded.last_mut() {
        *last = 1;
    }
    let codeword = codeword(&geometry, |package| transform::wrap(&padded, key, package));
    Ok(Some(Sealed::new(codeword, geometry, builder, expiry, assignment)))
}

fn codeword(geometry: &Geometry, fill: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut codeword = vec![0; geometry.codeword_bytes()];
    let (package, recovery) = codeword.split_at_mut(geometry.package_bytes());
    fill(package);
    coding::encode(geometry, package, recovery);
    codeword
}
