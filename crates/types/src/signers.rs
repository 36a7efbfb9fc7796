//! Which validators of a set signed: a bitmap over their indices.

use crate::{
    ValidatorIndex,
    codec::{Buf, EncodeSize, Error, Read, ReadExt, Write},
    limits::VALIDATORS_MAX,
};
use chorale_foundation::BufMut;
use smallvec::{SmallVec, smallvec};

/// The bitmaps of sets up to 128 validators are part of the value: certificates are copied often, and a place in memory
/// for each copy's bitmap would cost more than the copy.
type Bits = SmallVec<[u8; 16]>;

/// A set of validators of one epoch, as a bitmap: bit `i % 8` of byte `i / 8` stands for validator `i`.
///
/// Encoded as the number of validators of the set (`u16`) and the bytes; unused bits are zero, so equal sets have
/// equal bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signers {
    validators: u16,
    bits: Bits,
}

impl Signers {
    /// No signers, out of a set of `validators`.
    ///
    /// # Panics
    ///
    /// If `validators` is above [`VALIDATORS_MAX`]; validator sets are bounded by it.
    #[must_use]
    pub fn none(validators: usize) -> Self {
        assert!(validators <= VALIDATORS_MAX, "a validator set holds at most {VALIDATORS_MAX}");
        #[expect(clippy::cast_possible_truncation, reason = "asserted above")]
        Self { validators: validators as u16, bits: smallvec![0; validators.div_ceil(8)] }
    }

    /// The given signers, out of a set of `validators`.
    ///
    /// # Panics
    ///
    /// As [`Signers::insert`].
    #[must_use]
    pub fn of(validators: usize, members: impl IntoIterator<Item = ValidatorIndex>) -> Self {
        let mut signers = Self::none(validators);
        for member in members {
            signers.insert(member);
        }
        signers
    }

    /// Adds a signer.
    ///
    /// # Panics
    ///
    /// If the index is not in the set.
    pub fn insert(&mut self, signer: ValidatorIndex) {
        assert!(signer.0 < self.validators, "validator {signer} is not one of {}", self.validators);
        self.bits[signer.as_usize() / 8] |= 1 << (signer.0 % 8);
    }

    /// Whether the validator signed.
    #[must_use]
    pub fn contains(&self, signer: ValidatorIndex) -> bool {
        signer.0 < self.validators && self.bits[signer.as_usize() / 8] & (1 << (signer.0 % 8)) != 0
    }

    /// How many validators the set has that this is a part of.
    #[must_use]
    pub const fn validators(&self) -> usize {
        self.validators as usize
    }

    /// How many signed.
    #[must_use]
    pub fn count(&self) -> usize {
        self.bits.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// Whether no validator is in both.
    #[must_use]
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.bits.iter().zip(&other.bits).all(|(a, b)| a & b == 0)
    }

    /// Those who signed, in order of their index.
    pub fn iter(&self) -> impl Iterator<Item = ValidatorIndex> + '_ {
        (0..self.validators).map(ValidatorIndex).filter(|index| self.contains(*index))
    }
}

impl Write for Signers {
    fn write(&self, buf: &mut impl BufMut) {
        self.validators.write(buf);
        buf.put_slice(&self.bits);
    }
}

impl EncodeSize for Signers {
    fn encode_size(&self) -> usize {
        2 + self.bits.len()
    }
}

impl Read for Signers {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, Error> {
        let validators = u16::read(buf)?;
        if usize::from(validators) > VALIDATORS_MAX {
            return Err(Error::InvalidLength(usize::from(validators)));
        }
        let mut bits: Bits = smallvec![0; usize::from(validators).div_ceil(8)];
        if buf.remaining() < bits.len() {
            return Err(Error::EndOfBuffer);
        }
        buf.copy_to_slice(&mut bits);
        let used = validators % 8;
        if used != 0 && bits.last().is_some_and(|last| last >> used != 0) {
            return Err(Error::Invalid("Signers", "a bit beyond the last validator is set"));
        }
        Ok(Self { validators, bits })
    }
}
