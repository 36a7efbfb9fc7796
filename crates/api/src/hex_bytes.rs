//! Byte strings in JSON: hexadecimal with `0x`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Bytes, written as `0x` and two digits for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HexBytes(pub Vec<u8>);

impl Serialize for HexBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(2 + 2 * self.0.len());
        text.push_str("0x");
        text.push_str(&hex::encode(&self.0));
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for HexBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x").ok_or_else(|| D::Error::custom("bytes must begin with 0x"))?;
        hex::decode(digits)
            .map(Self)
            .map_err(|_| D::Error::custom("bytes must be an even number of hexadecimal digits"))
    }
}
