//! The canonical encoding: how every type here is written and read.
//!
//! Integers are big-endian and fixed-width, lengths are `u32`, options one byte, enums one tag byte. Decoding then
//! encoding gives the same bytes. Every length is checked against a bound that is part of the type before anything is
//! allocated, and [`decode`] refuses trailing bytes. No type needs run-time configuration to be read.

pub use chorale_foundation::codec::{Buf, Encode, EncodeSize, Error, Read, ReadExt, Write};
use chorale_foundation::{BufMut, Bytes, codec::DecodeExt};
use std::{fmt, ops::Deref, sync::Arc};

/// Decodes one value from all of `bytes`.
///
/// # Errors
///
/// Truncated or trailing bytes, a length above its bound, an unknown tag, or a value that its type forbids.
pub fn decode<T: Read<Cfg = ()>>(bytes: impl Into<Bytes>) -> Result<T, Error> {
    T::decode(bytes.into())
}

/// A sequence of at most `MAX` items.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// More items or bytes than a bounded container holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{actual} items or bytes, at most {max} are allowed")]
pub struct TooLong {
    /// What was given.
    pub actual: usize,
    /// What is allowed.
    pub max: usize,
}

impl<T, const MAX: usize> List<T, MAX> {
    /// Wraps `items`, or refuses more than `MAX` of them.
    pub fn new(items: Vec<T>) -> Result<Self, TooLong> {
        if items.len() > MAX {
            return Err(TooLong { actual: items.len(), max: MAX });
        }
        Ok(Self(items))
    }

    /// The items, unwrapped.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Deref for List<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Write, const MAX: usize> Write for List<T, MAX> {
    fn write(&self, buf: &mut impl BufMut) {
        length(self.0.len()).write(buf);
        for item in &self.0 {
            item.write(buf);
        }
    }
}

impl<T: EncodeSize, const MAX: usize> EncodeSize for List<T, MAX> {
    fn encode_size(&self) -> usize {
        4 + self.0.iter().map(EncodeSize::encode_size).sum::<usize>()
    }
}

impl<T: Read<Cfg = ()>, const MAX: usize> Read for List<T, MAX> {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, Error> {
        let len = read_length(buf, MAX)?;
        // Grown as items arrive: a length prefix alone never buys more than a page of memory.
        let mut items = Vec::with_capacity(len.min(64));
        for _ in 0..len {
            items.push(T::read(buf)?);
        }
        Ok(Self(items))
    }
}

/// A byte string of at most `MAX` bytes. Reading one shares the buffer it is read from.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blob<const MAX: usize>(Bytes);

impl<const MAX: usize> Blob<MAX> {
    /// Wraps `bytes`, or refuses more than `MAX` of them.
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, TooLong> {
        let bytes = bytes.into();
        if bytes.len() > MAX {
            return Err(TooLong { actual: bytes.len(), max: MAX });
        }
        Ok(Self(bytes))
    }

    /// The bytes, shared.
    pub const fn bytes(&self) -> &Bytes {
        &self.0
    }
}

impl<const MAX: usize> Deref for Blob<MAX> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const MAX: usize> Write for Blob<MAX> {
    fn write(&self, buf: &mut impl BufMut) {
        length(self.0.len()).write(buf);
        buf.put_slice(&self.0);
    }
}

impl<const MAX: usize> EncodeSize for Blob<MAX> {
    fn encode_size(&self) -> usize {
        4 + self.0.len()
    }
}

impl<const MAX: usize> Read for Blob<MAX> {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, Error> {
        let len = read_length(buf, MAX)?;
        if buf.remaining() < len {
            return Err(Error::EndOfBuffer);
        }
        Ok(Self(buf.copy_to_bytes(len)))
    }
}

/// A value that many hold: a copy of it costs nothing, and it never changes. Encoded as the value itself.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shared<T>(Arc<T>);

impl<T> Shared<T> {
    /// Shares `value` from now on.
    pub fn new(value: T) -> Self {
        Self(Arc::new(value))
    }

    /// A copy of the value itself, for whoever wants to change it.
    #[must_use]
    pub fn unshared(&self) -> T
    where
        T: Clone,
    {
        T::clone(&self.0)
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Write> Write for Shared<T> {
    fn write(&self, buf: &mut impl BufMut) {
        self.0.write(buf);
    }
}

impl<T: EncodeSize> EncodeSize for Shared<T> {
    fn encode_size(&self) -> usize {
        self.0.encode_size()
    }
}

impl<T: Read<Cfg = ()>> Read for Shared<T> {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, Error> {
        Ok(Self::new(T::read(buf)?))
    }
}

fn length(len: usize) -> u32 {
    u32::try_from(len).expect("bounded containers hold fewer than 2^32 items")
}

fn read_length(buf: &mut impl Buf, max: usize) -> Result<usize, Error> {
    let len = u32::read(buf)? as usize;
    if len > max {
        return Err(Error::InvalidLength(len));
    }
    Ok(len)
}

/// Implements the canonical codec for a struct: its fields, in the order given.
#[macro_export]
macro_rules! codec_struct {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::codec::Write for $name {
            fn write(&self, buf: &mut impl ::chorale_foundation::BufMut) {
                $($crate::codec::Write::write(&self.$field, buf);)*
            }
        }

        impl $crate::codec::EncodeSize for $name {
            fn encode_size(&self) -> usize {
                0 $(+ $crate::codec::EncodeSize::encode_size(&self.$field))*
            }
        }

        impl $crate::codec::Read for $name {
            type Cfg = ();

            fn read_cfg(buf: &mut impl $crate::codec::Buf, (): &()) -> Result<Self, $crate::codec::Error> {
                Ok(Self { $($field: $crate::codec::ReadExt::read(buf)?),* })
            }
        }
    };
}

/// Implements the canonical codec for a one-field tuple struct.
#[macro_export]
macro_rules! codec_newtype {
    ($($name:ident),* $(,)?) => {$(
        impl $crate::codec::Write for $name {
            fn write(&self, buf: &mut impl ::chorale_foundation::BufMut) {
                $crate::codec::Write::write(&self.0, buf);
            }
        }

        impl $crate::codec::EncodeSize for $name {
            fn encode_size(&self) -> usize {
                $crate::codec::EncodeSize::encode_size(&self.0)
            }
        }

        impl $crate::codec::Read for $name {
            type Cfg = ();

            fn read_cfg(buf: &mut impl $crate::codec::Buf, (): &()) -> Result<Self, $crate::codec::Error> {
                Ok(Self($crate::codec::ReadExt::read(buf)?))
            }
        }
    )*};
}

/// Implements the canonical codec for a tuple struct of a byte array, whose length is its `BYTES`.
#[macro_export]
macro_rules! codec_bytes {
    ($($name:ident),* $(,)?) => {$(
        impl $crate::codec::Write for $name {
            fn write(&self, buf: &mut impl ::chorale_foundation::BufMut) {
                buf.put_slice(&self.0);
            }
        }

        impl ::chorale_foundation::codec::FixedSize for $name {
            const SIZE: usize = Self::BYTES;
        }

        impl $crate::codec::Read for $name {
            type Cfg = ();

            fn read_cfg(buf: &mut impl $crate::codec::Buf, (): &()) -> Result<Self, $crate::codec::Error> {
                if buf.remaining() < Self::BYTES {
                    return Err($crate::codec::Error::EndOfBuffer);
                }
                let mut bytes = [0; Self::BYTES];
                buf.copy_to_slice(&mut bytes);
                Ok(Self(bytes))
            }
        }
    )*};
}

/// Implements the canonical codec for an enum of one-field variants: a tag byte, then the field.
#[macro_export]
macro_rules! codec_enum {
    ($name:ident { $($tag:literal => $variant:ident),* $(,)? }) => {
        impl $crate::codec::Write for $name {
            fn write(&self, buf: &mut impl ::chorale_foundation::BufMut) {
                match self {
                    $(Self::$variant(value) => {
                        $crate::codec::Write::write(&($tag as u8), buf);
                        $crate::codec::Write::write(value, buf);
                    })*
                }
            }
        }

        impl $crate::codec::EncodeSize for $name {
            fn encode_size(&self) -> usize {
                1 + match self {
                    $(Self::$variant(value) => $crate::codec::EncodeSize::encode_size(value),)*
                }
            }
        }

        impl $crate::codec::Read for $name {
            type Cfg = ();

            fn read_cfg(buf: &mut impl $crate::codec::Buf, (): &()) -> Result<Self, $crate::codec::Error> {
                match <u8 as $crate::codec::ReadExt>::read(buf)? {
                    $($tag => Ok(Self::$variant($crate::codec::ReadExt::read(buf)?)),)*
                    tag => Err($crate::codec::Error::InvalidEnum(tag)),
                }
            }
        }
    };
}
