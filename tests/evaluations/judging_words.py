"""Words that judge a model, none of which the desk may say of one."""

from __future__ import annotations

import re

JUDGING = re.compile(
    r"approv|\bpass(ed|es)?\b|certif|\bclear(ed|ance)?\b|licen[cs]|\bblock(ed|s|ing)?\b|authori[sz]ed"
    r"|\bsafe\b|\bunsafe\b|complian|accredit|permit|\bban(ned)?\b|forbidden|endors|sanction|gat(ed?|ing)\b"
    r"|greenl|red.?light|green.?light|\bfail(ed|s)?\b|reject|\bfit\b|unfit|sign.?ed.?off|ratif|vett"
)
