// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

import {Token} from "./Token.sol";

/// @title What borrows from a pool.
interface IBorrower {
    /// @notice The caller has what it asked for, and has to pay before it returns.
    /// @param outX Of the first token.
    /// @param outY Of the second one.
    /// @param data What it has given the pool.
    function onFlash(uint256 outX, uint256 outY, bytes calldata data) external;
}

/// @title A pool of two tokens at the price of a constant product, without a fee.
/// @notice It gives first and looks at the end whether it was paid: in the same token, the other one, or both.
/// @dev An example: whoever puts tokens in can never take them out again but by a swap.
contract Pool {
    /// @notice Tokens were swapped.
    /// @param caller Who did it.
    /// @param to Who received them.
    /// @param outX Of the first token.
    /// @param outY Of the second one.
    event Swapped(address indexed caller, address indexed to, uint256 outX, uint256 outY);

    /// @notice The product of what the pool has would be less than before.
    error Unpaid();
    /// @notice A swap is under way.
    error Locked();

    /// @notice The first token.
    Token public immutable tokenX;
    /// @notice The second one.
    Token public immutable tokenY;
    bool private locked;

    /// @notice Makes an empty pool.
    /// @param x The first token.
    /// @param y The second one.
    constructor(Token x, Token y) {
        (tokenX, tokenY) = (x, y);
    }

    /// @notice What the pool has.
    /// @return x Of the first token.
    /// @return y Of the second one.
    function reserves() public view returns (uint256 x, uint256 y) {
        return (tokenX.balanceOf(address(this)), tokenY.balanceOf(address(this)));
    }

    /// @notice How much of the first token there is for so much of the second one.
    /// @param inY What is paid.
    /// @return What there is for it.
    function quoteX(uint256 inY) external view returns (uint256) {
        (uint256 x, uint256 y) = reserves();
        return (x * inY) / (y + inY);
    }

    /// @notice Sells so much of the caller's second token.
    /// @param inY What is paid; the pool takes it by an allowance.
    /// @param leastX What it must bring at least.
    /// @param to Who receives it.
    /// @return outX What it brings.
    function sellY(uint256 inY, uint256 leastX, address to) external returns (uint256 outX) {
        if (locked) revert Locked();
        outX = this.quoteX(inY);
        if (outX < leastX) revert Unpaid();
        tokenY.transferFrom(msg.sender, address(this), inY);
        tokenX.transfer(to, outX);
        emit Swapped(msg.sender, to, outX, 0);
    }

    /// @notice Gives tokens, calls the caller back, and asks to be paid.
    /// @param outX Of the first token.
    /// @param outY Of the second one.
    /// @param data For the caller's `onFlash`.
    function flash(uint256 outX, uint256 outY, bytes calldata data) external {
        if (locked) revert Locked();
        locked = true;
        (uint256 x, uint256 y) = reserves();
        if (outX > 0) tokenX.transfer(msg.sender, outX);
        if (outY > 0) tokenY.transfer(msg.sender, outY);
        IBorrower(msg.sender).onFlash(outX, outY, data);
        (uint256 afterX, uint256 afterY) = reserves();
        if (afterX * afterY < x * y) revert Unpaid();
        locked = false;
        emit Swapped(msg.sender, msg.sender, outX, outY);
    }
}
