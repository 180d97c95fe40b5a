"""`describe_attention` says in lines what an artifact knows of attention."""

from __future__ import annotations

from ..spec.attention import Attention


def describe_attention(attention: Attention) -> list[str]:
    """Describe the blocks, where their tokens stand, and the maps that the graph makes."""
    chain, apart = attention.chain, [b for b in attention.blocks if b.role == "apart"]
    if not chain:
        names = ", ".join(block.name for block in apart[:3])
        more = f" and {len(apart) - 3} more" if len(apart) > 3 else ""
        return [f"attention {_count(len(apart))} of windows or other tokens: {names}{more}"]
    first = f"{chain[0].name} to {chain[-1].name}" if len(chain) > 1 else chain[0].name
    lines = [f"attention {_count(len(chain))}: {first}"]
    tokens = attention.class_tokens
    read = "a pool" if attention.pool else "all tokens of the grid"
    if attention.class_blocks:
        read = "a class token that is put before them"
    if tokens:
        read = f"token {' and '.join(map(str, tokens))}"
    lines.append(
        f"        grid {attention.grid} behind {attention.prefix_tokens} tokens; the score is read "
        f"off {read}"
    )
    if collectors := attention.collectors:
        word = "pool" if attention.pool else "class attention"
        lines.append(f"        {word} {', '.join(block.name for block in collectors)}")
    if apart:
        lines.append(f"        of other tokens: {', '.join(block.name for block in apart)}")
    outputs = [name for block in attention.blocks for name in block.outputs]
    if outputs:
        lines.append(f"        {', '.join(outputs[:4])}{', ...' if len(outputs) > 4 else ''}")
    if attention.methods:
        lines.append(f"        maps: {', '.join(attention.methods.values())}")
    return lines


def _count(blocks: int) -> str:
    return "1 block" if blocks == 1 else f"{blocks} blocks"
