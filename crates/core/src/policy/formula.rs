//! An expression over what is known, as a count.
//!
//! Arithmetic, comparisons (1 where they hold, 0 where not), `&&`, `||`, and functions like `min`,
//! `max`, `ceil`, `abs` and `round`. Length and depth are bounded, there are no loops and no user's
//! functions, so an evaluation takes about a microsecond and always ends.
//!
//! Invariant: the result depends on the values alone. `print`, the one function with an effect, is refused.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use fasteval::{Evaler, ExpressionI, Parser, Slab};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Signal;

/// Longest expression, in bytes.
const LONGEST: usize = 1_000;
/// How deep parentheses and calls may be nested.
const DEEPEST: usize = 24;

/// A count that is calculated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Formula {
    pub expression: Expression,
    /// What each name in the expression stands for. A name that is not here is never known.
    pub variables: BTreeMap<String, Variable>,
    /// What names stand for while their own value is missing.
    pub default: BTreeMap<String, f64>,
}

/// What a name in a formula stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Variable {
    Signal(Signal),
    /// The largest count that the other triggers of this kind recommend: `target`, `schedule`…
    Recommended(String),
    /// Instances that can serve.
    Ready,
    /// Instances that will be able to.
    Starting,
    /// Instances that finish what they have and take nothing new.
    Draining,
    /// Instances that ended by themselves and wait to be started again.
    Failed,
    /// The count decided last.
    Desired,
    /// The bounds of the policy.
    Min,
    Max,
    /// Seconds that an instance takes to start.
    StartUp,
    /// Busy seconds that a request takes, as learned.
    Work,
}

impl Variable {
    pub fn signal(&self) -> Option<&Signal> {
        match self {
            Self::Signal(signal) => Some(signal),
            _ => None,
        }
    }
}

impl Formula {
    /// The value; `None` where a name has none, and where the result is no number.
    pub fn value(&self, known: impl Fn(&Variable) -> Option<f64>) -> Option<f64> {
        let value = |name: &str| {
            let known = self.variables.get(name).and_then(&known);
            known.or_else(|| self.default.get(name).copied())
        };
        self.expression.evaluate(value)
    }

    /// Names without a value and without a default.
    pub fn missing(&self, known: impl Fn(&Variable) -> Option<f64>) -> Vec<&str> {
        let unknown = |(name, variable): &(&String, &Variable)| {
            known(variable).is_none() && !self.default.contains_key(*name)
        };
        self.variables.iter().filter(unknown).map(|(name, _)| name.as_str()).collect()
    }
}

/// An expression that can be evaluated.
#[derive(Clone)]
pub struct Expression {
    text: Arc<str>,
    parsed: Arc<(ExpressionI, Slab)>,
}

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadExpression {
    #[error("it has {0} characters, and at most {LONGEST} are allowed")]
    Long(usize),
    #[error("it is nested deeper than {DEEPEST}")]
    Deep,
    #[error("it ends where {0} is expected")]
    Ends(&'static str),
    #[error("{0:?} is not understood")]
    NotUnderstood(String),
    #[error("`{0}` cannot be used here")]
    Refused(String),
    #[error("there is no function `{0}`")]
    NoFunction(String),
}

impl Expression {
    /// The names that it uses, in alphabetical order.
    pub fn names(&self) -> Vec<String> {
        let (expression, slab) = &*self.parsed;
        expression.from(&slab.ps).var_names(slab).into_iter().collect()
    }

    /// Its value; `None` where `value` does not know a name, or the result is not a number.
    pub fn evaluate(&self, value: impl Fn(&str) -> Option<f64>) -> Option<f64> {
        let (expression, slab) = &*self.parsed;
        let mut namespace = |name: &str, arguments: Vec<f64>| value(name).filter(|_| arguments.is_empty());
        let result = expression.from(&slab.ps).eval(slab, &mut namespace).ok()?;
        result.is_finite().then_some(result)
    }

    /// A function that nobody has; `None` where every one is known.
    fn unknown_function(&self) -> Option<String> {
        let (expression, slab) = &*self.parsed;
        let names = std::cell::RefCell::new(None);
        // A call that is no built-in function reaches the namespace with its arguments.
        let mut namespace = |name: &str, arguments: Vec<f64>| {
            if !arguments.is_empty() {
                names.borrow_mut().get_or_insert_with(|| name.to_owned());
            }
            Some(1.0)
        };
        // Whatever it comes to: only the calls count.
        let _ = expression.from(&slab.ps).eval(slab, &mut namespace);
        names.into_inner()
    }
}

impl FromStr for Expression {
    type Err = BadExpression;

    fn from_str(text: &str) -> Result<Self, BadExpression> {
        if text.len() > LONGEST {
            return Err(BadExpression::Long(text.chars().count()));
        }
        if let Some(word) = words(text).find(|word| *word == "print") {
            return Err(BadExpression::Refused(word.to_owned()));
        }
        if let Some(quote) = text.chars().find(|c| *c == '"') {
            return Err(BadExpression::NotUnderstood(quote.to_string()));
        }
        let mut slab = Slab::new();
        let parser = Parser { expr_len_limit: LONGEST, expr_depth_limit: DEEPEST };
        let parsed = parser.parse(text, &mut slab.ps).map_err(explain)?;
        let expression = Self { text: text.into(), parsed: Arc::new((parsed, slab)) };
        match expression.unknown_function() {
            Some(name) => Err(BadExpression::NoFunction(name)),
            None => Ok(expression),
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

fn explain(error: fasteval::Error) -> BadExpression {
    use fasteval::Error;
    match error {
        Error::TooDeep => BadExpression::Deep,
        Error::TooLong => BadExpression::Long(LONGEST),
        Error::EofWhileParsing(what) if what.contains("parenthes") => BadExpression::Ends("`)`"),
        Error::EOF | Error::EofWhileParsing(_) => BadExpression::Ends("a value"),
        Error::InvalidValue => BadExpression::NotUnderstood("the expression".to_owned()),
        Error::UnparsedTokensRemaining(rest) => BadExpression::NotUnderstood(rest),
        Error::Undefined(name) => BadExpression::NoFunction(name),
        other => BadExpression::NotUnderstood(other.to_string()),
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({self})")
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Serialize for Expression {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
#[path = "formula/tests.rs"]
mod tests;
