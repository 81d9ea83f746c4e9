"""What is served does the same as what stands in the repository, in fewer bytes and without its comments."""

from __future__ import annotations

import pytest

from maicivy.web.minified import script, style, without_comments


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("", ""),
        ("a(); // b\nc()", "a();  \nc()"),
        ("a /* b */ + c", "a   + c"),
        ("return /* a\n b */ c", "return \n c"),
        ("'// no' + \"/* no */\"", "'// no' + \"/* no */\""),
        (r"'it\'s // no'", r"'it\'s // no'"),
        ("a = /[/*]/g; // b", "a = /[/*]/g;  "),
        (r"x.replace(/\/\//, '')", r"x.replace(/\/\//, '')"),
        ("a / b / c // d", "a / b / c  "),
        ("(a) / b // c / d", "(a) / b  "),
        ("return /\\/\\*/.test(a)", "return /\\/\\*/.test(a)"),
        ("`// no ${a /* b */ + `/* no ${ {c} } */`} // no` // d", "`// no ${a   + `/* no ${ {c} } */`} // no`  "),
        ("`$ \\` // no $` // d", "`$ \\` // no $`  "),
        ("{ {a} } // b", "{ {a} }  "),
        ("`never closed // a", "`never closed // a"),
    ],
)
def test_comments_go_and_what_looks_like_one_stays(source: str, code: str) -> None:
    assert without_comments(source) == code


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("/** a */\nlet b = 1; // c\n/* d */\nf(b, b);\n", "let b=1;f(1,1);"),
        (
            "import { a } from './b.js';\n// c\nexport const d = () => a();\n",
            'import{a}from"./b.js";export const d=()=>a();',
        ),
        ("f('</' + 'SCRIPT>', '</Script>', 1)", "f(`<\\/SCRIPT>`,`<\\/Script>`,1);"),
        ("let a = () => { return new Date() };\n\n\nf(a, a);\n\n\n", "let a=()=> new Date;f(a,a);"),
        ("this is no script", "this is no script"),
    ],
)
def test_a_script_is_minified_and_what_is_none_stays_as_it_is(source: str, code: str) -> None:
    assert script(source) == code


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (
            "/* a */ p { color: #ff0000; }\n/*! b */\np::after { content: '/* c */'; }",
            'p{color:red}p:after{content:"/* c */"}',
        ),
        ("a{b:c}/* d */e{f:g}", "a{b:c}e{f:g}"),
    ],
)
def test_a_style_sheet_is_minified(source: str, code: str) -> None:
    assert style(source) == code
