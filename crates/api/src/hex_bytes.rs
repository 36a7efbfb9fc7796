//! Byte strings in JSON: hexadecimal with `0x`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Bytes, written as `0x` and two digits for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HexBytes(pub Vec<u8>);

impl Serialize for HexBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&const_hex::encode_prefixed(&self.0))
    }
}

impl<'de> Deserialize<'de> for HexBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        if !text.starts_with("0x") {
            return Err(D::Error::custom("bytes must begin with 0x"));
        }
        const_hex::decode(&*text)
            .map(Self)
            .map_err(|_| D::Error::custom("bytes must be an even number of hexadecimal digits"))
    }
}
