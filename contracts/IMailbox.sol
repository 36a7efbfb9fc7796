// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

/// @dev Where the mailbox is, on every rollup.
IMailbox constant MAILBOX = IMailbox(0xB0dD1E0000000000000000000000000000000000);

/// @title What a contract calls to take part in bundles.
/// @notice A bundle commits only if every message that its legs consume was sent by an earlier leg of the same bundle,
/// and every message that they send is consumed. Rollups are named by their chain ids.
interface IMailbox {
    /// @notice A message left for another rollup.
    /// @param destination The rollup that has to consume it in a later leg.
    /// @param sender Who sent it.
    /// @param receiver Who has to consume it there.
    /// @param data What it says.
    event Sent(uint256 indexed destination, address indexed sender, address indexed receiver, bytes data);

    /// @notice A message from another rollup was used.
    /// @param source The rollup on which an earlier leg has sent it.
    /// @param sender Who sent it there.
    /// @param receiver Who consumed it.
    /// @param data What it says.
    event Consumed(uint256 indexed source, address indexed sender, address indexed receiver, bytes data);

    /// @notice This transaction is not a leg of a bundle.
    error OutsideBundle();

    /// @notice Sends a message of the caller to another rollup.
    /// @param destination The rollup that it is for.
    /// @param receiver Who is to consume it there.
    /// @param data What it says.
    function send(uint256 destination, address receiver, bytes calldata data) external;

    /// @notice Uses a message to the caller from another rollup. The caller names what it expects, and may rely on it
    /// after this call: a bundle without exactly this message, sent by an earlier leg, does not commit.
    /// @param source The rollup that it is from.
    /// @param sender Who has sent it there.
    /// @param data What it says.
    function consume(uint256 source, address sender, bytes calldata data) external;
}
