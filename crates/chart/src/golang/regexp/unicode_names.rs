//! Which names Go takes in `\p{…}`: categories, their long names, and scripts of one word.

/// Scripts, as Unicode names them. Those with an underscore Go does not find.
const SCRIPTS: &[&str] = &[
    "Adlam", "Ahom", "Arabic", "Armenian", "Avestan", "Balinese", "Bamum", "Batak", "Bengali", "Bhaiksuki", "Bopomofo", "Brahmi",
    "Braille", "Buginese", "Buhid", "Carian", "Chakma", "Cham", "Cherokee", "Chorasmian", "Common", "Coptic", "Cuneiform",
    "Cypriot", "Cyrillic", "Deseret", "Devanagari", "Dogra", "Duployan", "Elbasan", "Elymaic", "Ethiopic", "Georgian",
    "Glagolitic", "Gothic", "Grantha", "Greek", "Gujarati", "Gurmukhi", "Han", "Hangul", "Hanunoo", "Hatran", "Hebrew",
    "Hiragana", "Inherited", "Javanese", "Kaithi", "Kannada", "Katakana", "Kawi", "Kharoshthi", "Khmer", "Khojki", "Khudawadi",
    "Lao", "Latin", "Lepcha", "Limbu", "Lisu", "Lycian", "Lydian", "Mahajani", "Makasar", "Malayalam", "Mandaic", "Manichaean",
    "Marchen", "Medefaidrin", "Miao", "Modi", "Mongolian", "Mro", "Multani", "Myanmar", "Nabataean", "Nandinagari", "Newa",
    "Nko", "Nushu", "Ogham", "Oriya", "Osage", "Osmanya", "Palmyrene", "Phoenician", "Rejang", "Runic", "Samaritan",
    "Saurashtra", "Sharada", "Shavian", "Siddham", "SignWriting", "Sinhala", "Sogdian", "Soyombo", "Sundanese", "Syriac",
    "Tagalog", "Tagbanwa", "Takri", "Tamil", "Tangsa", "Tangut", "Telugu", "Thaana", "Thai", "Tibetan", "Tifinagh", "Tirhuta",
    "Toto", "Ugaritic", "Vai", "Vithkuqi", "Wancho", "Yezidi", "Yi",
];

/// Long names of categories, without underscores.
const CATEGORY_ALIASES: &[(&str, &str)] = &[
    ("Casedletter", "LC"), ("Closepunctuation", "Pe"), ("Combiningmark", "M"), ("Connectorpunctuation", "Pc"), ("Control", "Cc"),
    ("Currencysymbol", "Sc"), ("Dashpunctuation", "Pd"), ("Decimalnumber", "Nd"), ("Enclosingmark", "Me"),
    ("Finalpunctuation", "Pf"), ("Format", "Cf"), ("Initialpunctuation", "Pi"), ("Letter", "L"), ("Letternumber", "Nl"),
    ("Lineseparator", "Zl"), ("Lowercaseletter", "Ll"), ("Mark", "M"), ("Mathsymbol", "Sm"), ("Modifierletter", "Lm"),
    ("Modifiersymbol", "Sk"), ("Nonspacingmark", "Mn"), ("Number", "N"), ("Openpunctuation", "Ps"), ("Other", "C"),
    ("Otherletter", "Lo"), ("Othernumber", "No"), ("Otherpunctuation", "Po"), ("Othersymbol", "So"),
    ("Paragraphseparator", "Zp"), ("Privateuse", "Co"), ("Punctuation", "P"), ("Separator", "Z"), ("Spaceseparator", "Zs"),
    ("Spacingmark", "Mc"), ("Surrogate", "Cs"), ("Symbol", "S"), ("Titlecaseletter", "Lt"), ("Unassigned", "Cn"),
    ("Uppercaseletter", "Lu"), ("Cntrl", "Cc"), ("Digit", "Nd"), ("Punct", "P"),
];

/// Categories.
const CATEGORIES: &[&str] = &[
    "C", "Cc", "Cf", "Cn", "Co", "Cs", "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd", "Nl", "No", "P", "Pc",
    "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So", "Z", "Zl", "Zp", "Zs",
];

/// The class, in the syntax of crate regex, that a name means; none for a name that Go does not know.
pub fn class_of(name: &str) -> Option<String> {
    let mut canonical = String::new();
    for character in name.chars().filter(|character| !matches!(character, '_' | '-' | ' ')) {
        let first = canonical.is_empty();
        canonical.push(if first { character.to_ascii_uppercase() } else { character.to_ascii_lowercase() });
    }
    let category = |name: &str| match name {
        // Surrogates are in no text.
        "Cs" => r"[^\s\S]".to_owned(),
        "LC" => r"[\p{Lu}\p{Ll}\p{Lt}]".to_owned(),
        _ => format!(r"\p{{gc={name}}}"),
    };
    match canonical.as_str() {
        "Any" => return Some(r"[\s\S]".to_owned()),
        "Assigned" => return Some(r"\P{gc=Cn}".to_owned()),
        "Ascii" => return Some(r"[\x00-\x7F]".to_owned()),
        "Lc" => return Some(category("LC")),
        _ => {}
    }
    if CATEGORIES.contains(&canonical.as_str()) {
        return Some(category(&canonical));
    }
    if SCRIPTS.contains(&canonical.as_str()) {
        return Some(format!(r"\p{{sc={canonical}}}"));
    }
    let alias = CATEGORY_ALIASES.iter().find(|(long, _)| *long == canonical);
    alias.map(|(_, short)| category(short))
}
