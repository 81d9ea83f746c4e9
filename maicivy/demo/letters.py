"""Letters of motivation, and of its opposite: written from parts, the same letter for the same words.

No model writes here and nothing is stored. Which of the parts are taken depends on a hash of company and role, so a
letter can be linked to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from maicivy.core.events import LETTER_TYPES

MAX_COMPANY_CHARS: Final = 60

KINDS: Final[Mapping[str, str]] = dict(
    zip(LETTER_TYPES, ("A letter of motivation", "A letter of anti-motivation"), strict=True)
)
ROLES: Final[Mapping[str, str]] = {
    "backend": "backend engineer",
    "frontend": "frontend engineer",
    "fullstack": "full-stack engineer",
    "devops": "platform engineer",
    "data": "data engineer",
}


@dataclass(frozen=True, slots=True)
class Letter:
    """A finished letter: plain text, to be escaped by whoever shows it."""

    kind: str
    subject: str
    salutation: str
    paragraphs: tuple[str, ...]
    closing: str


def write(kind: str, company: str, role: str) -> Letter:
    """The letter of a kind to a company about a role.

    Raises:
        KeyError: when there is no such kind or role.
        ValueError: when the company's name is empty, too long, or holds control characters.
    """
    company = " ".join(company.split())
    if not company or len(company) > MAX_COMPANY_CHARS or not company.isprintable():
        raise ValueError(company)
    parts = _PARTS[kind]
    title = ROLES[role]
    choice = hashlib.blake2b(f"{kind}\n{company.casefold()}\n{role}".encode(), digest_size=4).digest()

    def pick(texts: Sequence[str], index: int) -> str:
        return texts[choice[index] % len(texts)].format(company=company, role=title)

    return Letter(
        kind,
        pick(parts.subjects, 0),
        f"Dear people of {company},",
        (pick(parts.openings, 1), parts.by_role[role].format(company=company), pick(parts.reasons, 2)),
        pick(parts.closings, 3),
    )


@dataclass(frozen=True, slots=True)
class _Parts:
    subjects: Sequence[str]
    openings: Sequence[str]
    by_role: Mapping[str, str]
    reasons: Sequence[str]
    closings: Sequence[str]


_PARTS: Final = {
    "motivation": _Parts(
        subjects=(
            "Application as {role} at {company}",
            "Your next {role}, perhaps",
            "{company}, and a {role} who read your page",
        ),
        openings=(
            (
                "I have read your job page twice: once as an applicant, and once as somebody "
                "who would have to explain it to a new colleague. Both of us would like to join."
            ),
            (
                "Most letters begin with how exciting everything is. I will begin with what I "
                "would do in my first week: listen, fix one small thing, and write down what surprised me."
            ),
            (
                "You are looking for a {role}. I am one, and I have been happiest in teams that "
                "ask why a thing is needed before they ask when it is done."
            ),
        ),
        by_role={
            "backend": "At Harbour & Pine I rebuilt parcel tracking as a log of events that is safe on disk before "
            "anybody is told so. It has lost nothing since, and the people who operate it have stopped knowing my "
            "phone number by heart. I would bring the same stubbornness to {company}.",
            "frontend": "At Harbour & Pine I replaced a customer portal page by page while it was in use, and sat "
            "next to people with screen readers until it worked for them as well. I would love to find out what the "
            "visitors of {company} put up with today, and remove it.",
            "fullstack": "I have taken features from a sketch on a napkin to the support call about them, and I like "
            "both ends. At {company} I would want to know who uses what I build, and what they do when it fails.",
            "devops": "At Harbour & Pine a release took two days and a cake. Now it takes eleven minutes, rollback "
            "included, and we have the cake anyway. I would gladly make the releases of {company} as uneventful.",
            "data": "At Harbour & Pine I turned nightly exports into streams that can be replayed from any day, and "
            "wrote next to each number how it is computed. I would like the numbers of {company} to survive the "
            "question where they come from, too.",
        },
        reasons=(
            (
                "What I would like in return: colleagues who say when they disagree, a codebase that may be improved "
                "while it earns money, and a good window."
            ),
            (
                "I write tests for things that hurt, documents for things that last, and short messages for the rest. "
                "If that sounds like {company}, we should talk."
            ),
            "I am not the fastest typist you will meet. But what I finish tends to stay finished.",
        ),
        closings=(
            "With kind regards, and curious",
            "Looking forward to your questions",
            "Warmly, and without buzzwords",
        ),
    ),
    "anti_motivation": _Parts(
        subjects=(
            "Why you should not hire me as {role}",
            "Non-application: {role} at {company}",
            "{company}, please look elsewhere",
        ),
        openings=(
            (
                "I am writing to ask you, politely, not to consider me. I have seen the words "
                "\u201cfast-paced\u201d and \u201cfamily\u201d in one sentence and had to lie down."
            ),
            (
                "With great enthusiasm I hereby do not apply. Your posting asks for ten years "
                "of experience with something that is four years old, and I have only six."
            ),
            ("A recruiter told me that I would be a perfect match. I felt that you deserved a warning."),
        ),
        by_role={
            "backend": "As a backend engineer at {company} I would ask what happens when the queue is killed halfway, "
            "in every meeting, until somebody tries it. Then I would be insufferable about the result.",
            "frontend": "I would measure the weight of your landing page, say the number out loud, and stay silent "
            "afterwards. I would also remove the carousel of {company}. You would not notice for a month.",
            "fullstack": "I know a little about everything, which at {company} would make me the person who is asked "
            "about the printer. I did fix a printer once. I do not wish to talk about it.",
            "devops": "I would switch off the alert that everybody at {company} ignores, and then the server that it "
            "was about. If nobody called within a week, I would keep it that way.",
            "data": "I would ask which of the four definitions of \u201cactive user\u201d {company} means, and bring "
            "a list. On slide nine I would ask for the error bars.",
        },
        reasons=(
            "My weaknesses include reading the documentation, going home, and believing that a meeting may end early.",
            (
                "In five years I see myself having deleted more code than I wrote. I am told that this does not fit "
                "into the performance review."
            ),
            "I once replaced a microservice by a function. There was no ceremony. I was happy for weeks.",
        ),
        closings=(
            "Regretfully available",
            "With the warmest of refusals",
            "Hoping not to hear from you, unless you laughed",
        ),
    ),
}
