// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

/// @dev Where the precompiled contract for synchronous calls is, on every rollup of a domain that has them.
ISynchronousCall constant SYNCHRONOUS_CALL = ISynchronousCall(0xB0DD1e0000000000000000000000000000000001);

/// @title Calls from inside a leg of a bundle to a contract of another rollup.
/// @notice Rollups are named by their chain ids. The bundle needs a later leg for the rollup that is called, of whatever
/// kind; the receipt of that leg begins with the events of the call. What is called sees an alias of the caller (`aliasOf`
/// in SynchronousCall.sol) and cannot call on. If the frame that called is reverted, so is the call.
interface ISynchronousCall {
    /// @notice Another rollup was called from here.
    /// @param rollup The rollup.
    /// @param caller Who called.
    /// @param target The contract there.
    /// @param number Which call of the leg, from 0.
    event Called(uint256 indexed rollup, address indexed caller, address indexed target, uint256 number);

    /// @notice A contract of this rollup was called from another one. What it emitted follows.
    /// @param source The rollup from which it was called.
    /// @param caller Who called there, not its alias.
    /// @param target The contract.
    /// @param number Which call of the leg, from 0.
    event Executed(uint256 indexed source, address indexed caller, address indexed target, uint256 number);

    /// @notice This transaction is not a leg of a bundle that executes as a whole.
    error OutsideBundle();
    /// @notice This is a call from another rollup itself.
    error Nested();
    /// @notice It is called otherwise than by a CALL without value, or from a static call.
    error NotPlain();
    /// @notice The input is not that of `call`.
    error Malformed();
    /// @notice The rollup is the caller's own.
    error OwnRollup();
    /// @notice No later leg of the bundle is for this rollup, or it is none of the domain.
    /// @param rollup The rollup.
    error NoLaterLeg(uint256 rollup);
    /// @notice There is no code at this address.
    /// @param rollup The rollup.
    /// @param target The address.
    error NoContract(uint256 rollup, address target);
    /// @notice The contract reverted, or ended by an exception.
    /// @param output What it reverted with.
    error Failed(bytes output);

    /// @notice Calls a contract of another rollup. All gas but a 64th may be used there, and the caller pays for it.
    /// @param rollup The rollup.
    /// @param target The contract.
    /// @param data What it is called with.
    /// @return What it returned.
    function call(uint256 rollup, address target, bytes calldata data) external returns (bytes memory);
}
