//! A fingerprint of all that happened in a run: equal for two runs of one seed.

/// FNV-1a over 64-bit words with a final mix. It tells runs apart; it resists nobody.
#[derive(Clone, Copy, Debug)]
pub struct Trace(u64);

impl Trace {
    /// Of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Takes a number in.
    pub const fn number(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }

    /// Takes bytes in.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.number(u64::from_be_bytes(word));
        }
    }

    /// The fingerprint so far.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        mixed ^ (mixed >> 33)
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}
