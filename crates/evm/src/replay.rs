//! Executing a block once more, to look at its transactions.

use crate::{Block, BlockBuilder, Chain, Ground, Origin, SignedTransaction};

impl Chain {
    /// Executes the next block once more, on a copy of the state, and shows each of its transactions where it stood, before
    /// it is executed. Legs of bundles are transactions like others here: what they did is in the block. Ends when `look`
    /// says so.
    ///
    /// # Panics
    ///
    /// If this is not the chain as it was before the block, and as [`BlockBuilder::execute`].
    pub fn replay<E>(
        &self,
        block: &Block,
        mut look: impl FnMut(usize, &SignedTransaction, Ground<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
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
        for (index, transaction) in block.transactions.iter().enumerate() {
            look(index, transaction, Ground::on(&builder))?;
            builder.execute(transaction.clone()).expect("it is in the block");
        }
        Ok(())
    }
}
