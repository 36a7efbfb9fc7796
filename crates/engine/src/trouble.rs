//! What goes wrong and passes: it is tried again.

use crate::token::{SecretError, now_s};
use alloy_primitives::B256;
use jsonrpsee::{core::client::Error, http_client::transport::Error as TransportError};
use std::path::Path;

/// Why nothing can be handed over now. Each says what to do, if anything has to be done.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The address.
    #[error("{url} is no address of a client: {reason}; write for example http://127.0.0.1:8551")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It does not let in.
    #[error(
        "the client refuses the token ({answer}): the secret in {secret} has to be the one that the client was \
         started with, and its clock and this machine's, where it is {now_s} s after 1970, may differ by a minute at most"
    )]
    Token {
        /// What it answered.
        answer: String,
        /// Where the secret is.
        secret: String,
        /// This machine's time.
        now_s: u64,
    },
    /// It does not answer.
    #[error("the client does not answer {method}: {reason}; start it, or see to its address")]
    Silent {
        /// What it was asked.
        method: &'static str,
        /// What happened.
        reason: String,
    },
    /// It answers with an error.
    #[error("the client answers {method} with error {code}: {message}")]
    Refused {
        /// What it was asked.
        method: &'static str,
        /// The code of the error.
        code: i32,
        /// Its words.
        message: String,
    },
    /// It answers something else.
    #[error("the client's answer to {method} is none: {reason}")]
    Answer {
        /// What it was asked.
        method: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// It is too old, or too new.
    #[error("the client does not offer {method}, which takes blocks of Prague; it offers {offered}")]
    Method {
        /// What is missing.
        method: &'static str,
        /// What is there of the same kind.
        offered: String,
    },
    /// Another chain's.
    #[error("the client is of chain {found}, and the rollup is {expected}: give it the rollup's genesis file")]
    Chain {
        /// The rollup.
        expected: u64,
        /// The client's.
        found: u64,
    },
    /// Another chain's.
    #[error(
        "the client's block 0 is {found}, and the rollup's is {expected}: give it the rollup's genesis file, with the \
         contracts that the rules of Prague need, and an empty data folder"
    )]
    Genesis {
        /// The rollup's.
        expected: B256,
        /// The client's.
        found: B256,
    },
    /// The node has deleted what the client needs.
    #[error(
        "the client needs block {0}, which is not kept here: raise `retain_blocks`, or start the client from a copy of one"
    )]
    NotKept(u64),
    /// The node's own disk.
    #[error("{0}")]
    Store(String),
    /// It says that it lacks blocks, and has been handed all.
    #[error("the client says that it is syncing, with all blocks before {0} handed to it")]
    Syncing(u64),
}

impl Trouble {
    /// What an error of a call means.
    pub(crate) fn of(method: &'static str, secret: &Path, error: Error) -> Self {
        match error {
            Error::Call(object) => {
                let (code, message): (i32, String) =
                    (object.code(), object.message().chars().take(WORDS_MAX).collect());
                if is_about_token(code, &message) {
                    return Self::token(format!("error {code}: {message}"), secret);
                }
                Self::Refused { method, code, message }
            }
            Error::ParseError(error) => Self::Answer { method, reason: error.to_string() },
            Error::Transport(error) => match error.downcast_ref() {
                Some(TransportError::Rejected { status_code: status @ (401 | 403) }) => {
                    Self::token(format!("HTTP status {status}"), secret)
                }
                _ => Self::Silent { method, reason: with_causes(&*error) },
            },
            other => Self::Silent { method, reason: other.to_string() },
        }
    }

    fn token(answer: String, secret: &Path) -> Self {
        Self::Token { answer, secret: secret.display().to_string(), now_s: now_s() }
    }
}

/// The specification wants HTTP to say it, and some clients say it in JSON, each in words of its own.
fn is_about_token(code: i32, message: &str) -> bool {
    let message = message.to_lowercase();
    code == SERVER_ERROR && ["auth", "jwt", "token"].iter().any(|word| message.contains(word))
}

/// The code for whatever has none of its own.
const SERVER_ERROR: i32 = -32_000;

/// Characters of an error's words that are kept: whoever sent them may have sent more.
const WORDS_MAX: usize = 1_000;

/// An error with what caused it, which alone says for example that nobody listens.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut words: Vec<String> = causes.map(ToString::to_string).collect();
    words.dedup();
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonrpsee::types::ErrorObjectOwned;

    #[test]
    fn a_token_that_is_refused_in_json_is_told_from_other_errors() {
        let of = |code, message| {
            let object = ErrorObjectOwned::owned(code, message, None::<()>);
            Trouble::of("eth_chainId", Path::new("jwt.hex"), Error::Call(object))
        };
        // As ethrex says it.
        let refused = of(-32_000, "Auth failed: Invalid or missing token");
        assert!(matches!(refused, Trouble::Token { .. }));
        let words = refused.to_string();
        assert!(words.starts_with("the client refuses the token (error -32000: Auth failed"), "{words}");
        assert!(matches!(of(-32_000, "header not found"), Trouble::Refused { .. }));
        assert!(matches!(of(-38_002, "no such token"), Trouble::Refused { .. }));
    }
}
