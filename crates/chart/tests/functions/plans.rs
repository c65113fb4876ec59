//! Which arguments each function gets, how its result is shown, and how often it is tried.

use super::literals::{int, list, map, number, text};
use super::seed::Seed;
use super::special as s;

/// Makes one argument.
pub type Maker = fn(&mut Seed) -> String;

/// How one function is tried.
pub struct Plan {
    /// Makers of the leading arguments.
    pub arguments: &'static [Maker],
    /// The maker of further arguments.
    pub further: Option<Maker>,
    /// How the result `$r` is shown.
    pub show: &'static str,
    /// How many cases, where it is not as many as for every other.
    pub cases: Option<usize>,
}

const SHOW: &str = "{{ typeOf $r }}|{{ kindOf $r }}|{{ toJson $r }}|{{ $r }}";
const SORTED: &str = "{{ typeOf $r }}|{{ sortAlpha $r }}";

fn bool(seed: &mut Seed) -> String {
    (*seed.of(&["true", "false", "(eq 1 1)", ".Values.yes"])).to_owned()
}

fn lists(seed: &mut Seed) -> String {
    list(seed, 2)
}

/// A list that Go holds in no more room than it needs; what lies in the rest of the room can be sliced in Go alone.
fn exact_list(seed: &mut Seed) -> String {
    (*seed.of(&[
        "(list)",
        "(list 1 2 3)",
        "(list \"b\" \"a\" \"c\" nil)",
        "(splitList \",\" \"x,y,,z\")",
        "\"text\"",
        "nil",
        "(list (list 1) 2)",
        "(dict)",
        "7",
    ]))
    .to_owned()
}

fn maps(seed: &mut Seed) -> String {
    if seed.percent(90) { map(seed, 2) } else { "nil".to_owned() }
}

fn known_map(seed: &mut Seed) -> String {
    (*seed.of(&["$d", "$e", "$e"])).to_owned()
}

fn password_kind(seed: &mut Seed) -> String {
    (*seed.of(&["\"maximum\"", "\"long\"", "\"medium\"", "\"short\"", "\"basic\"", "\"pin\"", "\"none\""])).to_owned()
}

fn counter(seed: &mut Seed) -> String {
    (*seed.of(&["1", "2", "4294967295", "0"])).to_owned()
}

fn key_sort(seed: &mut Seed) -> String {
    (*seed.of(&["\"ecdsa\"", "\"ed25519\"", "\"none\"", "\"ecdsa\""])).to_owned()
}

fn authority(_: &mut Seed) -> String {
    "(genCAWithKey \"ca\" 10 .Values.ecKey)".to_owned()
}

fn given_key(seed: &mut Seed) -> String {
    (*seed.of(&[
        ".Values.ecKey",
        ".Values.rsaKey",
        ".Values.edKey",
        ".Values.ecKey8",
        "\"\"",
        "\"no key\"",
        ".Values.dsaKey",
        ".Values.certificate",
        ".Values.oddKey",
    ]))
    .to_owned()
}

fn certificate64(seed: &mut Seed) -> String {
    (*seed.of(&["(b64enc .Values.certificate)", "\"!\"", "\"\"", "(b64enc .Values.ecKey)"])).to_owned()
}

fn key64(seed: &mut Seed) -> String {
    (*seed.of(&["(b64enc .Values.ecKey)", "(b64enc .Values.rsaKey)", "\"!\"", "\"\"", "(b64enc \"x\")"])).to_owned()
}

fn days(seed: &mut Seed) -> String {
    (*seed.of(&["365", "1", "0", "-1"])).to_owned()
}

fn common_name(seed: &mut Seed) -> String {
    (*seed.of(&["\"example.com\"", "\"\"", "\"Ünï cödé\"", "\"a*b@c\""])).to_owned()
}

fn plan(arguments: &'static [Maker]) -> Plan {
    Plan { arguments, further: None, show: SHOW, cases: None }
}

fn open(arguments: &'static [Maker], further: Maker) -> Plan {
    Plan { arguments, further: Some(further), show: SHOW, cases: None }
}

fn shown(arguments: &'static [Maker], show: &'static str) -> Plan {
    Plan { arguments, further: None, show, cases: None }
}

fn few(cases: usize, plan: Plan) -> Plan {
    Plan { cases: Some(cases), ..plan }
}

/// Shows a certificate but for what is random: who it is of, how it says what it may, and that its key fits.
const SHOW_CERTIFICATE: &str = "{{ typeOf $r }}|{{ regexReplaceAll \"[A-Za-z0-9+/=\\n]{40,}\" $r.Cert \"…\" }}|{{ regexReplaceAll \"[A-Za-z0-9+/=\\n]{40,}\" $r.Key \"…\" }}";
const SHOW_CHANGED: &str = "{{ typeOf $r }}|{{ toJson $r }}|{{ toJson $d }}|{{ toJson $e }}";

/// The plan of a function; none where nobody thought of it.
pub fn of(name: &str) -> Option<Plan> {
    texts(name).or_else(|| collections(name)).or_else(|| notations(name)).or_else(|| clocks(name)).or_else(|| secrets(name))
}

fn texts(name: &str) -> Option<Plan> {
    Some(match name {
        "abbrev" | "trunc" | "wrap" => plan(&[int, text]),
        "abbrevboth" | "substr" => plan(&[int, int, text]),
        "indent" | "nindent" | "repeat" => plan(&[s::small, text]),
        "camelcase" | "initials" | "kebabcase" | "lower" | "nospace" | "snakecase" | "swapcase" | "title" | "trim"
        | "untitle" | "upper" | "atoi" | "adler32sum" | "sha1sum" | "sha256sum" | "sha512sum" | "b32enc" | "b64enc"
        | "regexQuoteMeta" => plan(&[text]),
        "cat" | "quote" | "squote" => open(&[], s::whatever),
        "contains" | "hasPrefix" | "hasSuffix" | "trimAll" | "trimall" | "trimPrefix" | "trimSuffix" | "splitList" | "split" => {
            plan(&[text, text])
        }
        "replace" => plan(&[text, text, text]),
        "splitn" => plan(&[text, int, text]),
        "wrapWith" => plan(&[int, text, text]),
        "plural" => plan(&[text, text, int]),
        "join" => plan(&[text, s::whatever]),
        "toString" | "toStrings" => plan(&[s::whatever]),
        "hello" => few(5, plan(&[])),
        "shuffle" => shown(&[text], "{{ sortAlpha (regexFindAll \"(?s).\" $r -1) }}"),
        "b32dec" | "b64dec" => plan(&[s::base_text]),
        "base" | "clean" | "dir" | "ext" | "isAbs" | "osBase" | "osClean" | "osDir" | "osExt" | "osIsAbs" => plan(&[s::path]),
        "mustRegexFind" | "regexFind" | "mustRegexMatch" | "regexMatch" => plan(&[s::pattern, text]),
        "mustRegexFindAll" | "regexFindAll" | "mustRegexSplit" | "regexSplit" => plan(&[s::pattern, text, int]),
        "mustRegexReplaceAll" | "regexReplaceAll" | "mustRegexReplaceAllLiteral" | "regexReplaceAllLiteral" => {
            plan(&[s::pattern, text, s::replacement])
        }
        "semver" => shown(
            &[s::version],
            "{{ $r }}|{{ typeOf $r }}|{{ $r.Major }}|{{ $r.Minor }}|{{ $r.Patch }}|{{ $r.Prerelease }}|{{ $r.Metadata }}|{{ $r.Original }}|{{ $r.IncMinor }}|{{ toJson $r }}|{{ toYaml $r }}|{{ toToml $r }}",
        ),
        "semverCompare" => plan(&[s::constraint, s::version]),
        "urlParse" => plan(&[s::url]),
        "urlJoin" => plan(&[s::url_parts]),
        "tpl" => plan(&[text, s::whatever]),
        "include" => plan(&[s::key, s::whatever]),
        "getHostByName" => plan(&[text]),
        "lookup" => plan(&[text, text, text, text]),
        _ => return None,
    })
}

fn collections(name: &str) -> Option<Plan> {
    Some(match name {
        "list" | "tuple" | "all" | "any" | "coalesce" => open(&[], s::whatever),
        "append" | "push" | "mustAppend" | "mustPush" | "prepend" | "mustPrepend" => plan(&[lists, s::whatever]),
        "chunk" | "mustChunk" => plan(&[int, lists]),
        "compact" | "mustCompact" | "first" | "mustFirst" | "initial" | "mustInitial" | "last" | "mustLast" | "rest"
        | "mustRest" | "reverse" | "mustReverse" | "sortAlpha" | "uniq" | "mustUniq" => plan(&[lists]),
        "concat" => open(&[], lists),
        "has" | "mustHas" => plan(&[s::whatever, lists]),
        "slice" | "mustSlice" => few(100, open(&[exact_list], int)),
        "without" | "mustWithout" => open(&[lists], s::whatever),
        "dict" => open(&[], s::whatever),
        "get" | "hasKey" => plan(&[maps, s::key]),
        "set" => shown(&[known_map, s::key, s::whatever], SHOW_CHANGED),
        "unset" => shown(&[known_map, s::key], SHOW_CHANGED),
        "keys" => Plan { show: SORTED, ..open(&[], maps) },
        "values" => shown(&[maps], SORTED),
        "pick" | "omit" => open(&[maps], s::key),
        "pluck" => open(&[s::key], maps),
        "dig" => Plan { arguments: &[s::key, s::key, s::whatever, maps], further: None, show: SHOW, cases: None },
        "merge" | "mustMerge" | "mergeOverwrite" | "mustMergeOverwrite" => {
            Plan { show: SHOW_CHANGED, ..open(&[known_map, maps], maps) }
        }
        "deepCopy" | "mustDeepCopy" | "empty" | "kindOf" | "typeOf" => plan(&[s::whatever]),
        "deepEqual" => plan(&[s::whatever, s::whatever]),
        "default" => open(&[s::whatever], s::whatever),
        "kindIs" | "typeIs" | "typeIsLike" => plan(&[s::type_name, s::whatever]),
        "ternary" => plan(&[s::whatever, s::whatever, bool]),
        "fail" => plan(&[text]),
        "required" => plan(&[text, s::whatever]),
        "add" | "addf" => open(&[], number),
        "add1" | "add1f" | "ceil" | "floor" | "float64" | "int" | "int64" | "toDecimal" => plan(&[number]),
        "sub" | "div" | "mod" => plan(&[number, number]),
        "biggest" | "max" | "maxf" | "min" | "minf" | "mul" | "mulf" | "subf" | "divf" => open(&[number], number),
        "round" => open(&[number, int], number),
        "seq" => open(&[], int),
        "until" => plan(&[int]),
        "untilStep" => plan(&[int, int, int]),
        _ => return None,
    })
}

fn notations(name: &str) -> Option<Plan> {
    Some(match name {
        "fromJson" | "fromJsonArray" | "mustFromJson" => plan(&[s::json]),
        "fromYaml" | "fromYamlArray" => plan(&[s::yaml]),
        "fromToml" => plan(&[s::toml]),
        "toJson" | "mustToJson" | "toPrettyJson" | "mustToPrettyJson" | "toRawJson" | "mustToRawJson" | "toYaml"
        | "mustToYaml" | "toYamlPretty" | "toToml" | "mustToToml" => plan(&[s::whatever]),
        _ => return None,
    })
}

fn clocks(name: &str) -> Option<Plan> {
    Some(match name {
        "date" => plan(&[s::layout, s::date]),
        "dateInZone" | "date_in_zone" => plan(&[s::layout, s::date, s::zone]),
        "htmlDate" => plan(&[s::date]),
        "htmlDateInZone" => plan(&[s::date, s::zone]),
        "dateModify" | "date_modify" | "mustDateModify" | "must_date_modify" => plan(&[s::duration, s::time]),
        "toDate" | "mustToDate" => plan(&[s::layout, s::date_text]),
        "unixEpoch" => plan(&[s::time]),
        "duration" => plan(&[s::any_duration]),
        "durationRound" => plan(&[s::duration]),
        "durationDays"
        | "durationHours"
        | "durationMicroseconds"
        | "durationMilliseconds"
        | "durationMinutes"
        | "durationNanoseconds"
        | "durationSeconds"
        | "durationWeeks"
        | "mustToDuration" => plan(&[s::any_duration]),
        "durationRoundTo" | "durationTruncateTo" => plan(&[s::any_duration, s::any_duration]),
        // Years ago, so that the seconds between both runs do not show.
        "ago" => shown(&[|_| "(int64 0)".to_owned()], "{{ regexMatch \"^[0-9]{6}h[0-9]+m[0-9]+s$\" $r }}"),
        "now" => shown(
            &[],
            "{{ typeOf $r }}|{{ date \"2006\" $r }}|{{ gt $r.Unix 1700000000 }}|{{ regexReplaceAll \"[0-9]\" (toString $r) \"9\" | trunc 19 }}",
        ),
        _ => return None,
    })
}

fn secrets(name: &str) -> Option<Plan> {
    Some(match name {
        "randAlpha" => shown(&[s::small], "{{ len $r }}|{{ regexMatch \"^[A-Za-z]*$\" $r }}"),
        "randAlphaNum" => shown(&[s::small], "{{ len $r }}|{{ regexMatch \"^[A-Za-z0-9]*$\" $r }}"),
        "randAscii" => shown(&[s::small], "{{ len $r }}|{{ regexMatch \"^[ -~]*$\" $r }}"),
        "randNumeric" => shown(&[s::small], "{{ len $r }}|{{ regexMatch \"^[0-9]*$\" $r }}"),
        "randBytes" => shown(&[s::small], "{{ len $r }}|{{ len (b64dec $r) }}"),
        "randInt" => shown(&[int, int], "{{ typeOf $r }}|{{ $r | int | kindOf }}"),
        "uuidv4" => shown(&[], "{{ regexMatch \"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$\" $r }}"),
        "bcrypt" => few(6, shown(&[text], "{{ regexMatch \"^\\\\$2a\\\\$10\\\\$[./A-Za-z0-9]{53}$\" $r }}")),
        "htpasswd" => few(6, shown(&[text, text], "{{ regexReplaceAll \"[./A-Za-z0-9]{53}$\" $r \"…\" }}")),
        "derivePassword" => few(8, plan(&[counter, password_kind, text, text, text])),
        "encryptAES" => few(60, shown(&[|_| "\"key\"".to_owned(), text], "{{ decryptAES \"key\" $r }}|{{ len $r }}")),
        "decryptAES" => plan(&[text, s::ciphertext]),
        "genPrivateKey" => few(8, shown(&[key_sort], "{{ regexReplaceAll \"[A-Za-z0-9+/=\\n]{40,}\" $r \"…\" }}")),
        "buildCustomCert" => few(20, shown(&[certificate64, key64], SHOW_CERTIFICATE)),
        "genCA" => few(3, shown(&[common_name, days], SHOW_CERTIFICATE)),
        "genCAWithKey" => few(40, shown(&[common_name, days, given_key], SHOW_CERTIFICATE)),
        "genSelfSignedCert" => few(6, shown(&[common_name, s::addresses, s::names, days], SHOW_CERTIFICATE)),
        "genSelfSignedCertWithKey" => few(60, shown(&[common_name, s::addresses, s::names, days, given_key], SHOW_CERTIFICATE)),
        "genSignedCert" => few(6, shown(&[common_name, s::addresses, s::names, days, authority], SHOW_CERTIFICATE)),
        "genSignedCertWithKey" => {
            few(60, shown(&[common_name, s::addresses, s::names, days, authority, given_key], SHOW_CERTIFICATE))
        }
        _ => return None,
    })
}

/// One case of a function: a whole template.
pub fn case(name: &str, plan: &Plan, seed: &mut Seed) -> String {
    let mut arguments: Vec<String> = plan.arguments.iter().map(|maker| maker(seed)).collect();
    if let Some(further) = plan.further {
        arguments.extend((0..seed.below(4)).map(|_| further(seed)));
    }
    // A few calls are wrong: of kinds that do not fit, or of too many or too few arguments. Slow functions are spared.
    if plan.cases.is_none() && !arguments.is_empty() && name != "ago" && !takes_now(name) {
        let place = seed.below(arguments.len());
        match seed.below(25) {
            0 | 1 => arguments[place] = s::whatever(seed),
            2 => arguments[place] = "nil".to_owned(),
            3 if seed.percent(40) => drop(arguments.pop()),
            4 if seed.percent(40) => arguments.push(s::whatever(seed)),
            _ => {}
        }
    }
    if makes_as_much_as_is_asked(name) {
        // Go would make gigabytes and be killed.
        let counts_up = matches!(name, "seq" | "until" | "untilStep");
        let huge = |argument: &str| {
            let count = argument.trim_start_matches('-').parse::<f64>().unwrap_or(0.0);
            count > 1e6 && (counts_up || count < 1e15)
        };
        arguments.iter_mut().filter(|argument| huge(argument)).for_each(|argument| *argument = "3".to_owned());
    }
    let uses_maps =
        arguments.iter().any(|argument| argument.contains("$d") || argument.contains("$e")) || plan.show == SHOW_CHANGED;
    let maps =
        if uses_maps { format!("{{{{ $d := {} }}}}{{{{ $e := {} }}}}", map(seed, 2), map(seed, 2)) } else { String::new() };
    format!("{maps}{{{{ $r := {name} {} }}}}{}", arguments.join(" "), plan.show)
}

fn makes_as_much_as_is_asked(name: &str) -> bool {
    name.starts_with("rand") || matches!(name, "indent" | "nindent" | "repeat" | "seq" | "until" | "untilStep")
}

/// Functions that take what is no date for the time of the call.
fn takes_now(name: &str) -> bool {
    matches!(name, "date" | "dateInZone" | "date_in_zone" | "htmlDate" | "htmlDateInZone" | "durationRound")
}
