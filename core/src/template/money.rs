//! Currencies: how many decimals each has, its symbol for readers of a language, and where that symbol stands.
//!
//! Decimals are those of ISO 4217. Symbols and their place follow the Unicode CLDR, for the languages listed; a symbol that
//! its readers would take for another country's money is not used (`US$` outside the United States' own language). A plain
//! blank stands between symbol and digits, because a no-break space makes a text message cost twice as much.

/// Where the symbol stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// `€1,000.00`, `-€1,000.00`
    Before,
    /// `R$ 1.000,00`, `-R$ 1.000,00`
    BeforeApart,
    /// `€ 1.000,00`, `€ -1.000,00`
    BeforeApartAndSign,
    /// `1.000,00 €`, `-1.000,00 €`
    After,
}

/// The code in its standard spelling, if it can be one: three letters.
pub(super) fn code(text: &str) -> Option<String> {
    let text = text.trim();
    (text.len() == 3 && text.bytes().all(|b| b.is_ascii_alphabetic()))
        .then(|| text.to_ascii_uppercase())
}

/// The decimals of a currency.
pub(super) fn decimals(code: &str) -> i16 {
    match code {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX"
        | "UYI" | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

/// Puts the symbol to a formatted amount: `digits` without sign, `signed` with the language's own sign.
pub(super) fn assemble(
    code: &str,
    language: &str,
    region: Option<&str>,
    digits: &str,
    signed: Option<&str>,
) -> String {
    let symbol = symbol(code, language, region);
    let minus = if signed.is_some() { "-" } else { "" };
    // A code or an abbreviation would run into the digits.
    let apart = if symbol.ends_with(char::is_alphabetic) {
        " "
    } else {
        ""
    };
    match place(language, region) {
        Place::Before => format!("{minus}{symbol}{apart}{digits}"),
        Place::BeforeApart => format!("{minus}{symbol} {digits}"),
        Place::BeforeApartAndSign => format!("{symbol} {}", signed.unwrap_or(digits)),
        Place::After => format!("{} {symbol}", signed.unwrap_or(digits)),
    }
}

fn place(language: &str, region: Option<&str>) -> Place {
    match (language, region) {
        ("nl", _) => Place::BeforeApartAndSign,
        ("de", Some("at" | "ch" | "li"))
        | ("it", Some("ch"))
        | ("es", Some("ar" | "co" | "uy" | "py")) => Place::BeforeApart,
        ("es", None | Some("es")) | ("pt", Some("pt" | "ao" | "mz" | "lu" | "ch")) => Place::After,
        ("pt", _) => Place::BeforeApart,
        (
            "de" | "fr" | "it" | "sv" | "da" | "nb" | "nn" | "no" | "fi" | "is" | "et" | "lv"
            | "lt" | "pl" | "cs" | "sk" | "hu" | "ro" | "bg" | "hr" | "sl" | "sr" | "bs" | "mk"
            | "sq" | "el" | "uk" | "ru" | "be" | "ca" | "eu" | "gl" | "lb" | "vi" | "hy" | "ka"
            | "kk" | "az",
            _,
        ) => Place::After,
        _ => Place::Before,
    }
}

fn symbol<'a>(code: &'a str, language: &str, region: Option<&str>) -> &'a str {
    match (code, language) {
        ("EUR", _) => "€",
        ("GBP", _) => "£",
        ("USD", "en") if matches!(region, None | Some("us")) => "$",
        ("USD", "es") if region == Some("us") => "$",
        ("USD", _) => "US$",
        ("CAD", "en" | "fr") if region == Some("ca") => "$",
        ("AUD", "en") if region == Some("au") => "$",
        ("NZD", "en") if region == Some("nz") => "$",
        ("JPY", language) if language != "zh" => "¥",
        ("CNY", "zh") => "¥",
        ("INR", _) => "₹",
        ("KRW", _) => "₩",
        ("ILS", _) => "₪",
        ("UAH", "uk") => "₴",
        ("TRY", "tr") => "₺",
        ("BRL", _) => "R$",
        ("PLN", "pl") => "zł",
        ("CZK", "cs") => "Kč",
        ("HUF", "hu") => "Ft",
        ("SEK", "sv") | ("NOK", "nb" | "nn" | "no") => "kr",
        ("DKK", "da") => "kr.",
        _ => code,
    }
}
