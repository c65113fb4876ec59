//! Parsing selectors, as `labels.Parse` and `fields.ParseSelector` upstream.

use super::{FieldRequirement, Operator, Requirement, SelectorError};
use crate::rules::names;
use crate::status::go_quote;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Comma,
    Open,
    Close,
    Bang,
    Equals,
    DoubleEquals,
    NotEquals,
    Greater,
    Less,
    End,
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::Word(word) => word,
            Self::Comma => ",",
            Self::Open => "(",
            Self::Close => ")",
            Self::Bang => "!",
            Self::Equals => "=",
            Self::DoubleEquals => "==",
            Self::NotEquals => "!=",
            Self::Greater => ">",
            Self::Less => "<",
            Self::End => "",
        }
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut list = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let token = match letter {
            letter if letter.is_whitespace() => continue,
            ',' => Token::Comma,
            '(' => Token::Open,
            ')' => Token::Close,
            '>' => Token::Greater,
            '<' => Token::Less,
            '=' if letters.next_if_eq(&'=').is_some() => Token::DoubleEquals,
            '=' => Token::Equals,
            '!' if letters.next_if_eq(&'=').is_some() => Token::NotEquals,
            '!' => Token::Bang,
            letter => {
                let mut word = String::from(letter);
                while let Some(next) = letters.next_if(|next| !next.is_whitespace() && !",()=!<>".contains(*next)) {
                    word.push(next);
                }
                Token::Word(word)
            }
        };
        list.push(token);
    }
    list.push(Token::End);
    list
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }
}

fn found(token: &Token, expected: &str) -> SelectorError {
    SelectorError::Parse(format!("unable to parse requirement: found '{}', expected: {expected}", token.text()))
}

pub(super) fn labels(text: &str) -> Result<Vec<Requirement>, SelectorError> {
    let mut parser = Parser { tokens: tokens(text), at: 0 };
    let mut requirements = Vec::new();
    loop {
        match parser.peek().clone() {
            Token::Word(_) | Token::Bang => {
                requirements.push(one(&mut parser)?);
                match parser.next() {
                    Token::End => break,
                    Token::Comma if matches!(parser.peek(), Token::Word(_) | Token::Bang) => {}
                    Token::Comma => {
                        return Err(SelectorError::Parse(format!(
                            "found '{}', expected: identifier after ','",
                            parser.peek().text()
                        )));
                    }
                    other => {
                        return Err(SelectorError::Parse(format!("found '{}', expected: ',' or 'end of string'", other.text())));
                    }
                }
            }
            Token::End => break,
            other => {
                return Err(SelectorError::Parse(format!(
                    "found '{}', expected: !, identifier, or 'end of string'",
                    other.text()
                )));
            }
        }
    }
    requirements.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(requirements)
}

fn one(parser: &mut Parser) -> Result<Requirement, SelectorError> {
    let negated = *parser.peek() == Token::Bang;
    if negated {
        parser.next();
    }
    let key = match parser.next() {
        Token::Word(word) => word,
        other => return Err(found(&other, "identifier")),
    };
    if negated {
        return requirement(&key, Operator::DoesNotExist, Vec::new());
    }
    let operator = match parser.peek().clone() {
        Token::End | Token::Comma => return requirement(&key, Operator::Exists, Vec::new()),
        Token::Equals | Token::DoubleEquals => Operator::In,
        Token::NotEquals => Operator::NotIn,
        Token::Greater => Operator::GreaterThan,
        Token::Less => Operator::LessThan,
        Token::Word(word) if word == "in" => {
            parser.next();
            return requirement(&key, Operator::In, list(parser)?);
        }
        Token::Word(word) if word == "notin" => {
            parser.next();
            return requirement(&key, Operator::NotIn, list(parser)?);
        }
        other => return Err(found(&other, "in, notin, =, ==, !=, gt, lt")),
    };
    parser.next();
    let value = match parser.peek().clone() {
        Token::Word(word) => {
            parser.next();
            word
        }
        Token::End | Token::Comma => String::new(),
        other => return Err(found(&other, "identifier")),
    };
    requirement(&key, operator, vec![value])
}

fn list(parser: &mut Parser) -> Result<Vec<String>, SelectorError> {
    match parser.next() {
        Token::Open => {}
        other => return Err(found(&other, "'('")),
    }
    let mut values = Vec::new();
    let mut expect_value = true;
    loop {
        match parser.next() {
            Token::Word(word) if expect_value => {
                values.push(word);
                expect_value = false;
            }
            Token::Comma => {
                if expect_value {
                    values.push(String::new());
                }
                expect_value = true;
            }
            Token::Close => {
                if expect_value {
                    values.push(String::new());
                }
                values.sort();
                values.dedup();
                return Ok(values);
            }
            other => return Err(found(&other, "',', ')' or identifier")),
        }
    }
}

pub(super) fn requirement(key: &str, operator: Operator, mut values: Vec<String>) -> Result<Requirement, SelectorError> {
    if let Some(problem) = names::qualified_name(key).first() {
        return Err(SelectorError::Parse(format!("key: Invalid value: {}: {problem}", go_quote(key))));
    }
    let expected = match operator {
        Operator::In | Operator::NotIn if values.is_empty() => Some("for 'in', 'notin' operators, values set can't be empty"),
        Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
            Some("values set must be empty for exists and does not exist")
        }
        Operator::GreaterThan | Operator::LessThan if values.len() != 1 => {
            Some("for 'Gt', 'Lt' operators, exactly one value is required")
        }
        _ => None,
    };
    if let Some(expected) = expected {
        return Err(SelectorError::Parse(format!("values: Invalid value: {}: {expected}", crate::document::Value::from(values))));
    }
    for (index, value) in values.iter().enumerate() {
        if matches!(operator, Operator::GreaterThan | Operator::LessThan) && value.parse::<i64>().is_err() {
            return Err(SelectorError::Parse(format!(
                "values[{index}]: Invalid value: {}: for 'Gt', 'Lt' operators, the value must be an integer",
                go_quote(value)
            )));
        }
        if let Some(problem) = names::label_value(value).first() {
            return Err(SelectorError::Parse(format!("values[{index}][{key}]: Invalid value: {}: {problem}", go_quote(value))));
        }
    }
    values.sort();
    Ok(Requirement { key: key.to_owned(), operator, values })
}

pub(super) fn fields(text: &str) -> Result<Vec<FieldRequirement>, SelectorError> {
    let mut terms = vec![String::new()];
    let mut escaped = false;
    for letter in text.chars() {
        if letter == ',' && !escaped {
            terms.push(String::new());
        } else if let Some(term) = terms.last_mut() {
            term.push(letter);
        }
        escaped = letter == '\\' && !escaped;
    }
    terms.iter().filter(|term| !term.is_empty()).map(|term| field(term, text)).collect()
}

fn field(term: &str, whole: &str) -> Result<FieldRequirement, SelectorError> {
    let invalid = || SelectorError::Parse(format!("invalid selector: '{whole}'; can't understand '{term}'"));
    let sign = term.find(['=', '!']).ok_or_else(invalid)?;
    let (field, rest) = term.split_at(sign);
    let (equal, value) = if let Some(value) = rest.strip_prefix("!=") {
        (false, value)
    } else {
        (true, rest.strip_prefix("==").or_else(|| rest.strip_prefix('=')).ok_or_else(invalid)?)
    };
    Ok(FieldRequirement { field: field.to_owned(), equal, value: unescape(value)? })
}

fn unescape(value: &str) -> Result<String, SelectorError> {
    let mut plain = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(next @ ('\\' | ',' | '=')) => plain.push(next),
                _ => {
                    return Err(SelectorError::Parse(format!(
                        "invalid field selector: invalid escape sequence in value: {value}"
                    )));
                }
            },
            ',' | '=' => {
                return Err(SelectorError::Parse(format!(
                    "invalid field selector: unescaped character in value: {value}: {letter}"
                )));
            }
            other => plain.push(other),
        }
    }
    Ok(plain)
}
