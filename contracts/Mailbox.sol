// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IMailbox} from "./IMailbox.sol";

/// @title The mailbox: messages between the legs of one bundle.
/// @notice A predeploy without storage of its own. It records what is sent and consumed; that both match, message for
/// message and in order, is what the executor checks before it commits a bundle.
/// @dev Why a warm slot proves a leg (EIP-2929): nothing but this code can read slots of this contract, and it undoes
/// its own reading with a revert wherever the slot was cold. So only the access list of the transaction can have warmed
/// the slot, and a transaction with the mailbox in its access list executes as a leg of a bundle or has no effect at
/// all. The threshold is for the prices of EIP-2929: a fork that changes them has to look at it again.
///
/// Called through DELEGATECALL, or as the delegate of an account (EIP-7702), this code looks at a slot of the account
/// it runs in, and its events carry that account's address: they are not the mailbox's, and are no messages.
contract Mailbox is IMailbox {
    /// @dev The slot in the access list of every leg. Nothing is ever stored in it.
    uint256 private constant BUNDLE_SLOT = 0;
    /// @dev Between the gas of a warm SLOAD (100) and of a cold one (2100).
    uint256 private constant COLD = 1000;

    /// @inheritdoc IMailbox
    function send(uint256 destination, address receiver, bytes calldata data) external {
        onlyInBundle();
        emit Sent(destination, msg.sender, receiver, data);
    }

    /// @inheritdoc IMailbox
    function consume(uint256 source, address sender, bytes calldata data) external {
        onlyInBundle();
        emit Consumed(source, sender, msg.sender, data);
    }

    /// @dev The value read decides about a revert between the two measurements, so no optimizer may drop the SLOAD or
    /// move it out from between them. `contracts/test/bytecode.test.mjs` looks at what the compiler has made of it.
    function onlyInBundle() private view {
        uint256 used;
        assembly ("memory-safe") {
            let start := gas()
            if sload(BUNDLE_SLOT) { revert(0, 0) }
            used := sub(start, gas())
        }
        if (used >= COLD) revert OutsideBundle();
    }
}
