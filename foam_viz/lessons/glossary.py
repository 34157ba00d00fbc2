"""Every term and symbol of the app, explained once. Hover texts, the page Glossary and the documentation read this.

Hyperparameters are explained by their own fields (:mod:`foam_viz.optim.catalogue`), and listed from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """An entry.

    Attributes:
        name: The term as it is used, in lower case where it is no name.
        words: What it is, a sentence or two.
        formula: Its formula in plain text; empty where it has none.
        also: Other words and symbols that stand for the same.
        source: Where it is defined, where a paper does.
        not_in: Phrases that hold one of its words and mean something else.
    """

    name: str
    words: str
    formula: str = ""
    also: Sequence[str] = ()
    source: str = ""
    not_in: Sequence[str] = ()


_FOAM = "Nam and Ahn 2026, arXiv 2606.02365"
_SHAMPOO = "Gupta, Koren and Singer 2018, arXiv 1802.09568"
_PURIFYING = "Eschenhagen et al. 2025, arXiv 2506.03595"
_SOAP = "Vyas et al. 2024, arXiv 2409.11321"

TERMS: tuple[Term, ...] = (
    Term("Shampoo", "Preconditions a gradient matrix G from both sides by inverse roots of two factors.",
         "update = L^(-1/p) G R^(-1/p)", source=_SHAMPOO),
    Term("FOAM", "A refresh policy for Shampoo: while the basis ages it raises the damping, and decomposes only when "
         "the damping would pass its cap.", "ε ← max(ε₀, ε h / τ); decompose where that exceeds εₘₐₓ", source=_FOAM),
    Term("SOAP", "Adam in the eigenbasis of Shampoo's factors; the basis is renewed every f steps.", source=_SOAP),
    Term("preconditioner", "A matrix that the gradient is multiplied by, so that steep directions take short steps and "
         "flat ones long steps."),
    Term("factor", "The running mean of G Gᵀ (left) or Gᵀ G (right) of one block of a parameter: a square matrix that "
         "says how strong gradients are in each direction.", "L ← β₂ L + (1 - β₂) G Gᵀ", ("factors",),
         not_in=("by a factor", "factor of two", "factor of ten", "scale factor", "scale factors", "damping factor")),
    Term("left factor", "The factor of the rows of a weight matrix: of what the layer puts out.", "mean of G Gᵀ",
         ("left factors",)),
    Term("right factor", "The factor of the columns of a weight matrix: of what comes into the layer.", "mean of Gᵀ G",
         ("right factors",)),
    Term("inverse root", "The matrix by which a factor enters the update, made from a decomposition and the damping.",
         "X = Q diag((D + ε)^(-1/p)) Qᵀ", ("inverse roots",)),
    Term("decomposition", "Computing all eigenvalues and eigenvectors of a factor: the expensive part of Shampoo.",
         "A = Q diag(D) Qᵀ", ("decompositions", "decompose", "decomposed", "eigendecomposition", "EVD", "EVDs")),
    Term("basis", "The eigenvectors Q of a factor at its last decomposition.", "Q",
         ("eigenbasis", "bases", "eigenvectors"), not_in=("on the basis of",)),
    Term("eigenvalue", "The strength of the gradients along one eigen-direction of a factor. Its unit is gradient².",
         "D_i", ("eigenvalues",)),
    Term("spectrum", "All eigenvalues of a factor, largest first.", also=("spectra",)),
    Term("stale", "Still in use although the factor has moved on since it was decomposed.", "age = t - s",
         ("staleness", "stales")),
    Term("check", "The moment, every f steps, at which a policy decides for each factor whether to decompose it again.",
         "t mod f = 0", ("checks",), not_in=("check that", "check whether", "check if", "please check")),
    Term("refresh", "A decomposition that replaces an old basis.", also=("refreshes", "refreshed"),
         not_in=("refresh the page", "refresh this page")),
    Term("reuse", "The answer of a check that keeps the old basis.", also=("reused", "reuses")),
    Term("period", "Steps between two checks of a factor. For a fixed period, also between two decompositions.", "f",
         ("check period", "periods"), not_in=("grace period",)),
    Term("fixed period", "The policy that decomposes every factor at every check, whatever has happened.",
         also=("fixed periods", "cadence", "by cadence")),
    Term("taking turns", "A fixed period whose decompositions are spread over the steps, a few factors at a time. A "
         "variant of this project.", also=("staggered",)),
    Term("damping", "A number added to every eigenvalue before the inverse root: directions far below it are hardly "
         "amplified. Its unit is gradient².", "(D_i + ε)^(-1/p)", ("ε", "epsilon", "damped")),
    Term("least damping", "The damping right after a decomposition.", "ε₀", ("ε₀", "eps0")),
    Term("cap", "The largest damping that FOAM allows: beyond it a factor is decomposed.", "εₘₐₓ",
         ("ε_max", "εₘₐₓ", "eps_max", "by cap")),
    Term("threshold", "How much staleness a policy tolerates: it acts where its measure exceeds this.", "τ",
         ("τ", "tau", "by threshold")),
    Term("drift", "How far a factor has moved from its last decomposition, weighed by the old spectrum. FOAM's proxy "
         "for the error of the stale inverse root.", "h = RC α / p", ("h", "proxy"), _FOAM,
         ("reverse proxy",)),
    Term("whitened drift", "The size of B - D once each entry is divided by the damped old eigenvalues of its row and "
         "column.", "RC = ‖(B - diag D)_ij / √(s_i s_j)‖_F with B = Qᵀ A Q, s = D + ε", ("RC",), _FOAM),
    Term("α", "Share of the largest entry of the inverse root in its norm; between 1/√n and 1.",
         "α = max s^(-1/p) / ‖s^(-1/p)‖₂", ("alpha",), _FOAM),
    Term("residual", "Share of a factor, seen in the old basis, that lies off the diagonal. It does not see "
         "eigenvalues change.", "r = ‖B - diag(diag B)‖_F / ‖B‖_F", ("r", "diagonalization residual"), _PURIFYING,
         ("residual block", "residual blocks", "residual network", "residual connection", "residual connections")),
    Term("true error", "How far the stale inverse root is from the fresh one. It takes a decomposition, so it is "
         "measured on a schedule, and never charged to the optimizer.", "E = ‖X_fresh - X_stale‖_F / ‖X_stale‖_F",
         ("operator error", "error of the inverse root")),
    Term("update error", "How far the update of the stale roots is from that of fresh ones: what the parameters feel.",
         "‖d_stale - d_fresh‖_F / ‖d_fresh‖_F", ("error of the update",)),
    Term("overlap", "How much of each old eigen-direction lies along each current one; rows and columns add up to 1. "
         "The identity while the basis has not moved.", "O = (Q_sᵀ Q_t)² entrywise", ("overlap matrix",)),
    Term("turn", "How far eigen-directions have left those of the last decomposition, counted by their energy and by "
         "groups of near-equal eigenvalues.", also=("turned", "turns"),
         not_in=("in turn", "its turn", "their turn", "turn on", "turn off", "turns on", "turns off", "turned on",
                 "turned off", "turned out", "turns out", "turned into", "turns into")),
    Term("principal angles", "Angles between the spaces of the k strongest directions, then and now.",
         "arccos of the singular values of Q_s[:, :k]ᵀ Q_t[:, :k]", ("principal angle",)),
    Term("grafting", "Gives the update the length that another optimizer, often Adam, would take, and keeps the "
         "direction of Shampoo.", "d ← d ‖u‖ / ‖d‖", ("grafted", "graft")),
    Term("root", "Which root of a factor is inverted: 2 in the FOAM paper, 4 for matrices in the paper of 2018.", "p",
         not_in=("square root", "cube root", "root mean square", "read-only root", "root folder", "root of the mean")),
    Term("factor decay", "How slowly a factor forgets: after f steps a share 1 - β₂^f of it is new.", "β₂",
         ("β₂", "beta2")),
    Term("floor", "The rule for eigenvalues that rounding has drowned: raise them to 2⁻²³ of the largest.",
         "D_i ← max(D_i, 2⁻²³ λ_max)", not_in=("noise floor", "rounding floor", "floor of the loss")),
    Term("shift", "The rule of the FOAM reference for a spectrum with negative rounding errors: raise all eigenvalues "
         "by the most negative one.", "D ← D + |λ_min| where λ_min < 0", source=_FOAM,
         not_in=("Shift+Tab", "Shift+F2", "distribution shift", "shift key")),
    Term("held out", "Measured on examples that are never trained on.", also=("held-out",)),
    Term("lane", "One of the optimizers that train side by side: same weights at the start, same batches, same steps.",
         also=("lanes",)),
    Term("seed", "The number from which the start weights and the batches are drawn.", also=("seeds",)),
    Term("band", "The range that runs with other seeds span. A curve inside it differs by no more than luck.",
         also=("bands",)),
    Term("snapshot", "A measurement of the spectrum and the bases of factors, on a schedule.", also=("snapshots",)),
    Term("replay", "Asks what other thresholds would have decided on the factors that a run recorded. Nothing is "
         "trained.", also=("replayed",)),
    Term("open loop", "Replay does not change the parameters, as another setting would have: its losses are unknown.",
         also=("open-loop",)),
    Term("closed loop", "Really training under each setting, so that its choices change what comes after.",
         also=("closed-loop",)),
    Term("front", "The settings that no other one beats in both decompositions and error.",
         not_in=("in front", "in front of")),
    Term("optimizer seconds", "CPU seconds of the optimizer alone, on a GPU device seconds. Forward, backward and "
         "recording are not in them.", also=("optimizer time",)),
    Term("decompositions per factor and 100 steps", "What a run pays, whatever its period: 10 for a factor that is "
         "decomposed at every tenth step.", also=("per factor, 100 steps",)),
    Term("eigenvalue correction", "Adam's second moment, kept in the eigenbasis, takes the place of the eigenvalues: "
         "only the basis can be stale.", "V ← β₂ V + (1 - β₂) (Q_Lᵀ G Q_R)²", ("eigenvalue-corrected",), _PURIFYING),
)  # fmt: skip

BY_WORD: dict[str, Term] = {word.casefold(): term for term in TERMS for word in (term.name, *term.also)}
"""Terms by each of their words."""
