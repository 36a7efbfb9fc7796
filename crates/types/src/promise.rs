//! What a bundle promises, and what it takes to be promised it.

use crate::{
    AccountId, AccountSignature, BundleId, ChainId, DomainId, RollupId, Transaction,
    codec::{Buf, EncodeSize, Error, Read, ReadExt, Write},
    codec_struct, tagged_hash,
};
use chorale_foundation::BufMut;

/// What a bundle promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Atomicity {
    /// All legs are ordered in one block, next to each other, or none is.
    Inclusion,
    /// Besides, all of them take effect, or none does.
    Execution(Execution),
}

/// What is fixed of a bundle that executes as a whole, besides its legs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Execution {
    /// The domain whose rollups its legs are for.
    pub domain: DomainId,
    /// Who pays for bytes and gas, whatever becomes of the bundle.
    pub payer: AccountId,
    /// Wei that the payer pays at most.
    pub max_fee: u128,
    /// Counts from 0. Legs are bound to all of this but the attempt, so a bundle that found no room at one height can be
    /// ordered again without asking those who signed its legs, but not without the payer.
    pub attempt: u32,
}
codec_struct!(Execution { domain, payer, max_fee, attempt });

/// What a bundle promises, with what it takes to be promised it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// See [`Atomicity::Inclusion`].
    Inclusion,
    /// See [`Atomicity::Execution`].
    Execution(PaidExecution),
}
/// A promise that a payer has signed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PaidExecution {
    /// What is promised.
    pub execution: Execution,
    /// The payer's signature over [`pay_message`]. Nobody has looked at it.
    pub signature: AccountSignature,
}
codec_struct!(PaidExecution { execution, signature });

/// Enums of a variant with nothing in it, tag 0, and one with a field, tag 1.
macro_rules! codec_promise {
    ($name:ident) => {
        impl Write for $name {
            fn write(&self, buf: &mut impl BufMut) {
                match self {
                    Self::Inclusion => 0u8.write(buf),
                    Self::Execution(execution) => {
                        1u8.write(buf);
                        execution.write(buf);
                    }
                }
            }
        }

        impl EncodeSize for $name {
            fn encode_size(&self) -> usize {
                1 + match self {
                    Self::Inclusion => 0,
                    Self::Execution(execution) => execution.encode_size(),
                }
            }
        }

        impl Read for $name {
            type Cfg = ();

            fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, Error> {
                match u8::read(buf)? {
                    0 => Ok(Self::Inclusion),
                    1 => Ok(Self::Execution(ReadExt::read(buf)?)),
                    tag => Err(Error::InvalidEnum(tag)),
                }
            }
        }
    };
}
codec_promise!(Atomicity);
codec_promise!(Promise);

impl Promise {
    /// What is promised.
    #[must_use]
    pub const fn atomicity(&self) -> Atomicity {
        match self {
            Self::Inclusion => Atomicity::Inclusion,
            Self::Execution(paid) => Atomicity::Execution(paid.execution),
        }
    }
}

/// What a payer signs: H(chain, id of the bundle).
#[must_use]
pub fn pay_message(chain: ChainId, bundle: BundleId) -> [u8; 32] {
    tagged_hash("chorale/pay/v1", &[chain.as_ref(), bundle.as_ref()]).0
}

/// Why a bundle cannot be promised to execute as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum PromiseError {
    /// Nobody executes both sides.
    #[error(
        "rollup {rollup} is not executed in domain {domain}: all legs of a bundle that executes as a whole have to be"
    )]
    Domain {
        /// The rollup of a leg.
        rollup: RollupId,
        /// The bundle's domain.
        domain: DomainId,
    },
    /// Nobody would pay.
    #[error("the signature is not that of the payer, {payer}, over this bundle and chain (personal_sign of 32 bytes)")]
    Signature {
        /// Whose it should be.
        payer: AccountId,
    },
}

impl Promise {
    /// Whether a bundle with these legs can be promised this. `domain_of` says in which domain a rollup is executed.
    ///
    /// # Errors
    ///
    /// A leg is for a rollup of another domain, or the payer did not sign.
    pub fn check(
        &self,
        chain: ChainId,
        bundle: BundleId,
        legs: &[Transaction],
        domain_of: impl Fn(RollupId) -> Option<DomainId>,
    ) -> Result<(), PromiseError> {
        let Self::Execution(PaidExecution { execution, signature }) = self else { return Ok(()) };
        let Execution { domain, payer, .. } = *execution;
        if let Some(leg) = legs.iter().find(|leg| domain_of(leg.rollup) != Some(domain)) {
            return Err(PromiseError::Domain { rollup: leg.rollup, domain });
        }
        // Last, as it takes longest.
        match signature.signer(&pay_message(chain, bundle)) {
            Some(signer) if signer == payer => Ok(()),
            _ => Err(PromiseError::Signature { payer }),
        }
    }
}
