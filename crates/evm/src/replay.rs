//! Executing a block once more, to look at its transactions.

use crate::{Block, BlockBuilder, Chain, Ground, Marker, Origin, SYNCHRONOUS_CALL, SignedTransaction};

/// A transaction cannot be executed once more, nor any of its block after it: it is a leg that called other rollups, or
/// carries what others called here, and neither is in the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "transaction {index} of the block took part in a synchronous call between rollups, and a block does not record that: \
     neither it nor those after it can be executed once more"
)]
pub struct CallsOthers {
    /// Which transaction of the block.
    pub index: usize,
}

/// Why not all of a block was executed once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped<E> {
    /// Whoever looked has seen enough.
    Looking(E),
    /// Nothing more can be shown.
    Calls(CallsOthers),
}

impl Chain {
    /// Executes the next block once more, on a copy of the state, and shows each of its transactions where it stood, before
    /// it is executed. Legs of bundles are transactions like others here: what they did is in the block. Ends when `look`
    /// says so.
    ///
    /// # Errors
    ///
    /// What `look` says, or that a transaction took part in a synchronous call. One whose calls were all undone is still
    /// shown: [`Ground::inspect`] says then that it ended.
    ///
    /// # Panics
    ///
    /// If this is not the chain as it was before the block, and as [`BlockBuilder::execute`].
    pub fn replay<E>(
        &self,
        block: &Block,
        mut look: impl FnMut(usize, &SignedTransaction, Ground<'_>) -> Result<(), E>,
    ) -> Result<(), Stopped<E>> {
        let header = &block.header;
        assert_eq!(header.parent_hash, self.head().hash(), "block {} is not the next one", header.number);
        let origin = Origin {
            timestamp_s: header.timestamp,
            prev_randao: header.mix_hash,
            sequencer_block: header.parent_beacon_block_root.expect("every block has one"),
            extra_data: header.extra_data.clone(),
        };
        let mut state = self.state().clone();
        let mut builder = BlockBuilder::begin(self.rules(), self.head(), origin, &mut state);
        for (index, (transaction, receipt)) in block.transactions.iter().zip(&block.receipts).enumerate() {
            let stopped = Stopped::Calls(CallsOthers { index });
            if self.rules().synchronous_calls && receipt.logs().iter().any(|log| log.address == SYNCHRONOUS_CALL) {
                return Err(stopped);
            }
            builder.expect_unknown_calls(matches!(transaction.marker(), Marker::Leg(_)));
            look(index, transaction, Ground::on(&builder)).map_err(Stopped::Looking)?;
            builder.repeat(transaction).ok_or(stopped)?;
        }
        Ok(())
    }
}
