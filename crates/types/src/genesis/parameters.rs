//! Parameters of the protocol, with their bounds.

use super::{GenesisError, file::field};
use crate::limits::PAYLOAD_BYTES_MAX;
use serde::{Deserialize, Serialize};

/// Parameters of the protocol. The TOML file names them alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GenesisParameters {
    /// `leaders`: votes go to two leaders, blocks commit after five network delays. `all`: votes go to everyone, and
    /// blocks commit after three.
    pub votes: VotesTo,
    /// `committed`: payloads are opened when their order is final. `certified`: one round earlier, at some risk.
    pub reveal: RevealWhen,
    /// The part of a view's timer that does not depend on the network.
    pub timeout_base_ms: u64,
    /// The longest timer of a view.
    pub timeout_ms_max: u64,
    /// How far ahead of a validator's clock a header may be.
    pub clock_drift_ms: u64,
    /// How long the leader of an idle chain waits before it makes an empty block. 0: never.
    pub idle_interval_ms: u64,
    /// The least time between blocks that honest leaders keep. 0: as fast as the network goes.
    pub pace_ms: u64,
    /// For so many bytes of payload in a block honest leaders wait a millisecond more before the next one, at most a
    /// quarter of `timeout_base_ms`. 0: never.
    pub pace_bytes_per_ms: u64,
    /// How far chain time may advance in one block, below `timeout_base_ms`.
    pub time_step_ms_max: u64,
    /// Bytes of one payload.
    pub payload_bytes_max: u32,
    /// Heights whose payloads validators keep.
    pub retention_heights: u64,
    /// Heights of an epoch.
    pub epoch_heights: u64,
    /// Heights for which a transaction of a rollup without nonces is not ordered again.
    pub dedup_window_heights: u64,
}

impl Default for GenesisParameters {
    fn default() -> Self {
        Self {
            votes: VotesTo::All,
            reveal: RevealWhen::Committed,
            timeout_base_ms: 1_000,
            timeout_ms_max: 20_000,
            clock_drift_ms: 500,
            idle_interval_ms: 1_000,
            pace_ms: 50,
            pace_bytes_per_ms: 16 * 1024,
            time_step_ms_max: 900,
            payload_bytes_max: 4 * 1024 * 1024,
            retention_heights: 10_000,
            epoch_heights: 100_000,
            dedup_window_heights: 128,
        }
    }
}

/// To whom votes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VotesTo {
    /// To the leaders of this view and the next.
    Leaders,
    /// To everyone.
    All,
}

/// When payloads are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RevealWhen {
    /// When their header is committed.
    Committed,
    /// When it is certified.
    Certified,
}

mod encoding {
    //! Enums of the parameters in the canonical encoding.

    use super::{GenesisParameters, RevealWhen, VotesTo};
    use crate::codec::{Buf, EncodeSize, Error, Read, ReadExt, Write};
    use chorale_foundation::BufMut;

    macro_rules! tags {
        ($name:ident { $($tag:literal => $variant:ident),* }) => {
            impl Write for $name {
                fn write(&self, buf: &mut impl BufMut) {
                    let tag: u8 = match self { $(Self::$variant => $tag,)* };
                    tag.write(buf);
                }
            }

            impl EncodeSize for $name {
                fn encode_size(&self) -> usize {
                    1
                }
            }

            impl Read for $name {
                type Cfg = ();

                fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, Error> {
                    match u8::read(buf)? {
                        $($tag => Ok(Self::$variant),)*
                        tag => Err(Error::InvalidEnum(tag)),
                    }
                }
            }
        };
    }

    tags!(VotesTo { 0 => Leaders, 1 => All });
    tags!(RevealWhen { 0 => Committed, 1 => Certified });
    crate::codec_struct!(GenesisParameters {
        votes,
        reveal,
        timeout_base_ms,
        timeout_ms_max,
        clock_drift_ms,
        idle_interval_ms,
        pace_ms,
        pace_bytes_per_ms,
        time_step_ms_max,
        payload_bytes_max,
        retention_heights,
        epoch_heights,
        dedup_window_heights,
    });
}

impl GenesisParameters {
    pub(super) fn check(&self) -> Result<(), GenesisError> {
        let range = |name: &str, value: u64, min: u64, max: u64| {
            if (min..=max).contains(&value) {
                return Ok(());
            }
            Err(field(format!("parameters.{name}"), format!("is {value}; it must be {min} to {max}")))
        };
        range("timeout_base_ms", self.timeout_base_ms, 10, 600_000)?;
        range("timeout_ms_max", self.timeout_ms_max, self.timeout_base_ms, 3_600_000)?;
        range("clock_drift_ms", self.clock_drift_ms, 1, 600_000)?;
        range("idle_interval_ms", self.idle_interval_ms, 0, 600_000)?;
        range("pace_ms", self.pace_ms, 0, self.timeout_base_ms / 2)?;
        range("time_step_ms_max", self.time_step_ms_max, 1, self.timeout_base_ms - 1)?;
        let bytes_max = u64::try_from(PAYLOAD_BYTES_MAX).expect("8 MiB");
        range("payload_bytes_max", self.payload_bytes_max.into(), 256 * 1024, bytes_max)?;
        range("retention_heights", self.retention_heights, 64, u64::MAX)?;
        range("epoch_heights", self.epoch_heights, 8, u64::MAX / 2)?;
        range("dedup_window_heights", self.dedup_window_heights, 1, 4_096)
    }
}
