//! Tokens: what the Engine API lets in by
//! ([authentication](https://github.com/ethereum/execution-apis/blob/main/src/engine/authentication.md)).

use alloy_primitives::hex;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonrpsee::http_client::{HttpRequest, HttpResponse, transport::Error as TransportError};
use sha2::Sha256;
use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    task::{Context, Poll},
    time::{SystemTime, UNIX_EPOCH},
};
use tower::{Layer, Service};

const SECRET_BYTES: usize = 32;
/// A secret in hexadecimal, with `0x` and what an editor leaves behind it.
const FILE_BYTES_MAX: u64 = 1_024;

/// What a client and whoever drives it know both, and nobody else.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret([u8; SECRET_BYTES]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file.
    #[error("reading the secret {path}: {error}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// What is in it.
    #[error("{path} has to have 32 bytes in hexadecimal, as the client's own file; `openssl rand -hex 32` makes one")]
    Content {
        /// Which.
        path: PathBuf,
    },
}

impl Secret {
    pub(crate) fn read(path: &Path) -> Result<Self, SecretError> {
        let failed = |error| SecretError::Read { path: path.to_owned(), error };
        let wrong = || SecretError::Content { path: path.to_owned() };
        if fs::metadata(path).map_err(failed)?.len() > FILE_BYTES_MAX {
            return Err(wrong());
        }
        let text = fs::read_to_string(path).map_err(failed)?;
        hex::decode_to_array(text.trim()).map(Self).map_err(|_| wrong())
    }

    /// A token that was made at this time: a JWT with HMAC-SHA256
    /// ([RFC 7519](https://www.rfc-editor.org/rfc/rfc7519)).
    pub(crate) fn token(&self, issued_at_s: u64) -> String {
        let encode = |part: &str| URL_SAFE_NO_PAD.encode(part);
        let claims = format!(r#"{{"iat":{issued_at_s}}}"#);
        let signed = format!("{}.{}", encode(r#"{"alg":"HS256","typ":"JWT"}"#), encode(&claims));
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key may have any length");
        mac.update(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }
}

/// The time of this machine, in seconds since 1970.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Gives every request a token of its own: one is good for a minute only.
#[derive(Clone, Debug)]
pub(crate) struct Bearer(pub(crate) Secret);

impl<S> Layer<S> for Bearer {
    type Service = WithToken<S>;

    fn layer(&self, inner: S) -> WithToken<S> {
        WithToken { secret: self.0.clone(), inner }
    }
}

/// [`Bearer`], on a service.
#[derive(Clone, Debug)]
pub(crate) struct WithToken<S> {
    secret: Secret,
    inner: S,
}

impl<S, B, A> Service<HttpRequest<B>> for WithToken<S>
where
    S: Service<HttpRequest<B>, Response = HttpResponse<A>, Error = TransportError>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: HttpRequest<B>) -> Self::Future {
        let value = format!("Bearer {}", self.secret.token(now_s()));
        let value = value.parse().expect("a token has letters, digits, dots and dashes");
        request.headers_mut().insert("authorization", value);
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By another implementation: Python's `hmac` and `base64`, with the key 00 01 … 1f.
    #[test]
    fn a_token_is_the_one_that_others_make() {
        let secret = Secret(std::array::from_fn(|index| u8::try_from(index).unwrap()));
        assert_eq!(secret.token(1_700_000_000), TOKEN);
    }

    const TOKEN: &str =
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpYXQiOjE3MDAwMDAwMDB9.uAxdaUtr1_HpYPtNDLNlQ_sHMiP5eBV-ra8EjL3ScS8";

    #[test]
    fn a_secret_is_read_as_clients_write_it_and_nothing_else_is_taken_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwt.hex");
        let digits = "ab".repeat(32);
        for text in [digits.clone(), format!("0x{digits}\n"), format!("  {digits}\r\n")] {
            fs::write(&path, text).unwrap();
            assert_eq!(Secret::read(&path).unwrap(), Secret([0xab; 32]));
        }
        for text in ["", "ab", &"ab".repeat(33), &"xy".repeat(32), &" ".repeat(5_000)] {
            fs::write(&path, text).unwrap();
            assert!(matches!(Secret::read(&path), Err(SecretError::Content { .. })), "{text}");
        }
        assert!(matches!(Secret::read(&folder.path().join("none")), Err(SecretError::Read { .. })));
    }
}
