//! Rule 6.2: what is refused, where, and in which words.

use super::mistakes;

fn refused(table: &[(&str, &str)]) {
    for (text, expected) in table {
        assert_eq!(mistakes(text), [*expected], "{text}");
    }
}

#[test]
fn m6_2_unknown_names_are_refused_with_the_near_name() {
    refused(&[
        ("record.regoin == 'eu'", "1:8 unknown field `regoin`, did you mean `region`?"),
        ("record.Region == 'eu'", "1:8 unknown field `Region`, did you mean `region`?"),
        ("record.shared == 'eu'", "1:8 unknown field `shared`"),
        ("record.watcher == 'eu'", "1:8 unknown field `watcher`, did you mean `watchers`?"),
        ("record['x_y'] == 'eu'", "1:8 unknown field `x_y`, did you mean `x-y`?"),
        ("recrod.region == 'eu'", "1:1 unknown name `recrod`, did you mean `record`?"),
        ("region == 'eu'", "1:1 unknown name `region`, did you mean `record.region`?"),
        ("user.team == 'eu'", "1:6 `user` has no field `team`, did you mean `user.attributes.team`?"),
        ("user.group == 'eu'", "1:6 `user` has no field `group`, did you mean `groups`?"),
        ("context.chanel == 'eu'", "1:9 `context` has no field `chanel`, did you mean `channel`?"),
        ("record.tags.exist(t, t == 'a')", "1:13 unknown function `exist`, did you mean `exists`?"),
        ("record.region.startswith('a')", "1:15 unknown function `startswith`, did you mean `startsWith`?"),
        ("foo(1)", "1:1 unknown function `foo`"),
    ]);
}

#[test]
fn m6_2_types_that_do_not_fit_are_refused() {
    refused(&[
        ("record.region == 5", "1:15 `==` cannot compare a string with an int"),
        ("record.amount > 'x'", "1:15 `>` cannot compare a double with a string"),
        ("record.level < 2.5", "1:14 `<` cannot compare an int with a double"),
        ("record.level < record.amount", "1:14 `<` cannot compare an int with a double"),
        ("record.amount == 9007199254740993", "1:18 `9007199254740993` cannot be written exactly as a double"),
        ("record.due < '2026-01-01T00:00:00Z'", "1:12 `<` cannot compare a timestamp with a string"),
        ("now - record.due > 5", "1:18 `>` cannot compare a duration with an int"),
        ("record.open < true", "1:13 `<` cannot compare bools: they have no order"),
        ("record.region", "1:1 a condition must be a bool, this is a string"),
        ("1 + 1", "1:1 a condition must be a bool, this is an int"),
        ("record.open && record.level", "1:16 what `&&` joins must be a bool, this is an int"),
        ("record.open || 'x'", "1:16 what `||` joins must be a bool, this is a string"),
        ("!record.level", "1:2 what `!` turns round must be a bool, this is an int"),
        ("-record.open == 1", "1:2 what `-` turns round must be a number, this is a bool"),
        ("record.region + 1 == 'x'", "1:15 `+` cannot combine a string with an int"),
        ("record.region - 'a' == 'x'", "1:15 `-` cannot combine a string with a string"),
        ("record.amount % 2 == 1", "1:15 `%` cannot combine a double with a double"),
        ("record.due + record.due == now", "1:12 `+` cannot combine a timestamp with a timestamp"),
        ("record.open + context.attributes.x == 1", "1:13 `+` cannot combine a bool with an undeclared attribute"),
        ("record.level in ['a']", "1:14 `in` cannot look for an int in a list<string>"),
        ("1 in record.tags", "1:3 `in` cannot look for an int in a list<string>"),
        ("1 in user.groups", "1:3 `in` cannot look for an int in a list<string>"),
        ("'a' in record.region", "1:8 what stands right of `in` must be a list, this is a string"),
        ("'a' in 'abc'", "1:8 what stands right of `in` must be a list, this is a string"),
        ("record.tags == 'a'", "1:1 `record.tags` is a list<string>: use `in`, `exists`, `all` or `size`"),
        ("['a'] == 'a'", "1:1 a list can only be looked into: use `in`, `exists`, `all` or `size`"),
        ("user.groups == 'a'", "1:1 `user.groups` is a list<string>: use `in`, `exists`, `all` or `size`"),
        ("record.region in ['a', 1]", "1:24 the elements of a list are of one type: an int beside a string"),
        ("user.id in [record.owner]", "1:13 a list that is written out holds constants only: write `||` instead"),
        ("record.level.startsWith('x')", "1:1 what `startsWith` is asked of must be a string, this is an int"),
        ("record.region.endsWith(1)", "1:24 what `endsWith` looks for must be a string, this is an int"),
        ("record.tags.contains('a')", "1:1 `contains` is of texts: write `x in list`"),
        ("size(record.level) == 1", "1:6 what `size` counts must be a list or a string, this is an int"),
        ("record.tags.exists(t, t)", "1:23 what `exists` asks must be a bool, this is a string"),
        ("record.region.all(t, true)", "1:1 what `all` asks about must be a list, this is a string"),
        ("record.tags.all(t, t == 1)", "1:22 `==` cannot compare a string with an int"),
        ("user.attributes.team == 1", "1:22 `==` cannot compare a string with an int"),
    ]);
}

#[test]
fn m6_2_what_has_no_meaning_here_is_refused_with_what_to_write() {
    refused(&[
        (
            "record.region == null",
            "1:18 nothing equals `null`, a null attribute counts as missing: write `!has(record.region)`",
        ),
        (
            "null != record.tags",
            "1:1 nothing equals `null`, a null attribute counts as missing: write `has(record.tags)`",
        ),
        ("null", "1:1 `null` is no value here: a null attribute counts as missing, ask `has(…)`"),
        ("null == 1", "1:1 `null` is no value here: a null attribute counts as missing, ask `has(…)`"),
        ("user.all_reports.exists(u, u == 'a')", "1:1 `user.all_reports` may only stand right of `in`"),
        ("size(user.direct_reports) > 0", "1:6 `user.direct_reports` may only stand right of `in`"),
        ("user.direct_reports == 'a'", "1:1 `user.direct_reports` may only stand right of `in`"),
        ("has(user.direct_reports)", "1:5 `user.direct_reports` may only stand right of `in`"),
        ("has(user.groups)", "1:5 `user.groups` is never missing"),
        ("has(record)", "1:5 `has` asks for a field: write `has(record.field)`"),
        ("has(1 + 1)", "1:5 `has` asks for a field: write `has(record.field)`"),
        ("record.has(1)", "1:8 `has` is written `has(record.field)`"),
        ("startsWith(record.region, 'a')", "1:1 `startsWith` is written `text.startsWith(part)`"),
        ("record.tags.exists('a')", "1:13 `exists` is written `list.exists(x, x == …)`"),
        ("size() == 1", "1:1 `size` is written `size(list)` or `list.size()`"),
        ("record.region.matches('a.*')", "1:15 `matches` is not supported: use `startsWith`, `endsWith` or `contains`"),
        ("record.tags.map(t, t) == 1", "1:13 `map` is not supported: use `exists` or `all`"),
        ("record", "1:1 `record` is no value by itself: name one of its fields"),
        ("record.region.x == 1", "1:15 there is no field `x` here: an attribute has none"),
        ("now.x == 1", "1:5 `now` has no fields"),
        ("record.tags.exists(t, t.x == 'a')", "1:25 `t` has no fields"),
        ("user.attributes == 'a'", "1:6 name an attribute: `user.attributes.x`"),
        ("'a'.b == 1", "1:1 only `record`, `user` and `context` have fields"),
        ("record.tags.exists(user, user == 'a')", "1:20 `user` means something already: choose another name"),
        ("record.tags.exists('t', true)", "1:20 the first argument of `exists` is the name of a variable"),
        ("timestamp(record.region) < now", "1:11 `timestamp` takes a text in quotes only"),
        ("timestamp('yesterday') < now", "1:11 `'yesterday'` is no timestamp such as `2026-01-31T12:00:00Z`"),
        (
            "timestamp('2026-02-30T00:00:00Z') < now",
            "1:11 `'2026-02-30T00:00:00Z'` is no timestamp such as `2026-01-31T12:00:00Z`",
        ),
        ("now - now < duration('1 day')", "1:22 `'1 day'` is no duration such as `36h`, `1h30m` or `500ms`"),
        ("now - now < duration('1ns')", "1:22 `'1ns'` is finer than a millisecond"),
        ("record.tags[0] == 'a'", "1:13 an index must be a name in quotes"),
        ("record.open ? true : false", "1:13 `?` is not supported: write `&&` and `||`"),
        ("{'a': 1}.a == 1", "1:1 maps are not supported"),
    ]);
}

#[test]
fn m6_2_what_cannot_be_read_is_refused_at_its_place() {
    refused(&[
        ("", "1:1 the condition is empty"),
        ("  // nothing\n ", "2:2 the condition is empty"),
        ("record.open &&", "1:15 expected a value, found the end"),
        ("record.open\n  && && true", "2:6 expected a value, found `&&`"),
        ("(record.open", "1:13 expected `)`, found the end"),
        ("record.open)", "1:12 expected an operator or the end, found `)`"),
        ("record.open and true", "1:13 `and` is no operator: write `&&`"),
        ("(record.open or true)", "1:14 `or` is no operator: write `||`"),
        ("not record.open", "1:1 `not` is no operator: write `!`"),
        ("record.region = 'eu'", "1:15 `=` is no operator: write `==`"),
        ("record.open & true", "1:13 `&` is no operator: write `&&`"),
        ("record.region == “eu”", "1:18 `“` is no quotation mark here: write `\"`"),
        ("record.region == 'eu", "1:18 this text has no closing `'`"),
        ("record.region == 'e\nu'", "1:18 this text has no closing `'` on its line: write a line break as `\\n`"),
        ("'é' == record.region #", "1:22 unexpected character `#`"),
        ("'\\q' == ''", "1:2 `\\q` is no escape"),
        ("'\\ud800' == ''", "1:2 this escape is no character"),
        ("'\\x4' == ''", "1:2 this escape is no character"),
        ("r'a' == ''", "1:1 a text with the prefix `r` is not supported"),
        ("\"\"\"a\"\"\" == ''", "1:1 triple-quoted texts are not supported"),
        ("5u == 5", "1:1 unsigned numbers are not supported: write `5`"),
        ("5x == 5", "1:1 `5x` is no number"),
        ("0x == 5", "1:1 `0x` is no number of 64 bits"),
        ("9223372036854775808 > 0", "1:1 this number does not fit into 64 bits"),
        ("-9223372036854775809 < 0", "1:2 this number does not fit into 64 bits"),
        ("99999999999999999999 > 0", "1:1 this number does not fit into 64 bits"),
        ("1e999 > 0.0", "1:1 `1e999` is out of range of a double"),
        ("1 < 2 < 3", "1:7 comparisons do not chain: write `&&` between them, or parentheses"),
        ("record.if == 1", "1:8 unknown field `if`"),
        ("record.in == 1", "1:8 `in` is a reserved word: write `[\"in\"]`"),
        ("while == 1", "1:1 `while` is a reserved word"),
        ("record. == 1", "1:9 expected a name, found `==`"),
        ("size(record.tags == 3", "1:22 expected `,` or `)`, found the end"),
    ]);
}

#[test]
fn m6_2_every_mistake_is_gathered_in_the_order_of_places() {
    let text = "record.regoin == 'eu' &&\n  record.amount == 'x' || !record.tags.all(t, t == 1 || nobody)";
    assert_eq!(
        mistakes(text),
        [
            "1:8 unknown field `regoin`, did you mean `region`?",
            "2:17 `==` cannot compare a double with a string",
            "2:49 `==` cannot compare a string with an int",
            "2:57 unknown name `nobody`",
        ]
    );
    let many = vec!["record.nothing"; 50].join(" || ");
    assert_eq!(mistakes(&many).len(), crate::core::condition::MAX_MISTAKES);
}

#[test]
fn columns_count_characters_and_offsets_bytes() {
    let (fields, user_attributes) = super::declared();
    let schema = crate::core::condition::Schema { fields: &fields, user_attributes: &user_attributes };
    let mistakes = crate::core::condition::check("'üü' == record.nope", &schema).unwrap_err();
    assert_eq!((mistakes[0].offset, mistakes[0].length, mistakes[0].column), (17, 4, 16));
    assert_eq!(mistakes[0].to_string(), "line 1, column 16: unknown field `nope`");
}

#[test]
fn m6_2_built_in_names_are_known_as_such() {
    for name in ["id", "owner", "account", "watchers", "assignees", "mentioned", "shared_with"] {
        assert!(crate::core::condition::is_built_in(name));
    }
    assert!(!crate::core::condition::is_built_in("region"));
}
