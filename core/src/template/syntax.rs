//! From the source of a text to its tree. The language is Jinja as minijinja reads it; its lexer and parser are used as
//! they are, and what a letter has no use for is refused here, with its name and line.
//!
//! Why not minijinja's own machine: it knows numbers only as floating point and 128-bit integers (`12.50` becomes 12.5, and a
//! column's exact text cannot be compared with a number at all), and its fuel counts instructions, not what one instruction can
//! do: `{% set x = x ~ x %}` thirty times, or `[0] * 10 ** 15`, exhausts memory or time within the limit.

use minijinja::machinery::ast::{self, Expr as Ast, Stmt};
use minijinja::machinery::{Span, Token, WhitespaceConfig, parse, tokenize};
use minijinja::syntax::SyntaxConfig;

use super::filters::{Filter, Test};
use super::number;
use super::tree::{Comparison, Expr, For, Kind, Node, Operator};
use crate::names::did_you_mean;

/// How deep statements and expressions may nest in each other, chains of operators included.
const MAX_DEPTH: usize = 100;

/// Words and signs in one `{{ … }}` or `{% … %}`. The parser recurses for some of them without a bound of its own.
const MAX_TOKENS_IN_TAG: usize = 400;

/// `elif` branches in one text; the parser recurses for each.
const MAX_ELIFS: usize = 100;

/// `set` statements in one text; a value can nest one level deeper with each.
const MAX_SETS: usize = 500;

/// Why a text does not compile.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) line: u32,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Refusal {
    fn new(line: u32, message: impl Into<String>) -> Self {
        Self {
            line,
            message: message.into(),
            hint: None,
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<minijinja::Error> for Refusal {
    fn from(error: minijinja::Error) -> Self {
        let message = error
            .detail()
            .map_or_else(|| error.kind().to_string(), str::to_owned);
        Self::new(
            error
                .line()
                .and_then(|line| u32::try_from(line).ok())
                .unwrap_or(1),
            message,
        )
    }
}

/// Compiles a source, which the caller has bounded in size.
pub(super) fn compile(source: &str) -> Result<Vec<Node>, Refusal> {
    guard(source)?;
    let tree = parse(
        source,
        "template",
        SyntaxConfig,
        WhitespaceConfig::default(),
    )?;
    let Stmt::Template(template) = &tree else {
        return Err(Refusal::new(1, "the text is not a template"));
    };
    Compiler { source }.nodes(&template.children, 0)
}

/// Refuses, before anything recurses, what would take the parser too deep, and statements that do not exist here.
fn guard(source: &str) -> Result<(), Refusal> {
    let (mut in_tag, mut elifs, mut sets, mut at_keyword) = (0, 0, 0, false);
    for token in tokenize(source, false, SyntaxConfig, WhitespaceConfig::default()) {
        let (token, span) = token?;
        let line = u32::from(span.start_line);
        match &token {
            Token::TemplateData(_) => continue,
            Token::VariableStart | Token::BlockStart => in_tag = 0,
            Token::Ident(word) if at_keyword => {
                check_keyword(word, line)?;
                elifs += usize::from(*word == "elif");
                sets += usize::from(*word == "set");
            }
            _ => {}
        }
        at_keyword = matches!(token, Token::BlockStart);
        in_tag += 1;
        if in_tag > MAX_TOKENS_IN_TAG {
            return Err(Refusal::new(
                line,
                format!("the tag has more than {MAX_TOKENS_IN_TAG} words and signs"),
            )
            .hint("Take it apart with {% set … %}."));
        }
        if elifs > MAX_ELIFS {
            return Err(Refusal::new(
                line,
                format!("the text has more than {MAX_ELIFS} elif branches"),
            ));
        }
        if sets > MAX_SETS {
            return Err(Refusal::new(
                line,
                format!("the text has more than {MAX_SETS} set statements"),
            ));
        }
    }
    Ok(())
}

fn check_keyword(word: &str, line: u32) -> Result<(), Refusal> {
    const KNOWN: [&str; 11] = [
        "if", "elif", "else", "endif", "for", "endfor", "set", "with", "endwith", "raw", "endraw",
    ];
    // The parser knows the block form of set; it is refused with its own message.
    if KNOWN.contains(&word) || word == "endset" {
        return Ok(());
    }
    let elsewhere = [
        "include",
        "import",
        "from",
        "extends",
        "block",
        "macro",
        "call",
        "filter",
        "autoescape",
        "do",
    ];
    let refusal = Refusal::new(
        line,
        format!("statement \"{word}\" is not available in templates"),
    );
    Err(refusal.hint(if elsewhere.contains(&word) {
        "A template stands alone; it may use if, for, set, with and raw.".to_owned()
    } else {
        did_you_mean(word, KNOWN)
            .unwrap_or_else(|| "Available are if, for, set, with and raw.".to_owned())
    }))
}

struct Compiler<'s> {
    source: &'s str,
}

fn line(span: Span) -> u32 {
    u32::from(span.start_line)
}

fn deep(line: u32) -> Refusal {
    Refusal::new(line, format!("the text nests more than {MAX_DEPTH} deep"))
        .hint("Take it apart with {% set … %}.")
}

impl Compiler<'_> {
    fn nodes(&self, statements: &[Stmt<'_>], depth: usize) -> Result<Vec<Node>, Refusal> {
        statements
            .iter()
            .map(|statement| self.node(statement, depth + 1))
            .collect()
    }

    fn node(&self, statement: &Stmt<'_>, depth: usize) -> Result<Node, Refusal> {
        if depth > MAX_DEPTH {
            return Err(deep(1));
        }
        Ok(match statement {
            Stmt::EmitRaw(raw) => {
                if raw.raw.contains('\0') {
                    return Err(Refusal::new(
                        line(raw.span()),
                        "the text contains a zero character",
                    ));
                }
                Node::Raw(raw.raw.into())
            }
            Stmt::EmitExpr(emit) => Node::Emit(self.expr(&emit.expr, depth)?),
            Stmt::IfCond(branch) => Node::If {
                condition: self.expr(&branch.expr, depth)?,
                then: self.nodes(&branch.true_body, depth)?,
                otherwise: self.nodes(&branch.false_body, depth)?,
            },
            Stmt::ForLoop(each) => {
                let at = line(each.span());
                if each.recursive {
                    return Err(Refusal::new(
                        at,
                        "recursive loops are not available in templates",
                    ));
                }
                Node::For(Box::new(For {
                    names: targets(&each.target)?,
                    over: self.expr(&each.iter, depth)?,
                    filter: each
                        .filter_expr
                        .as_ref()
                        .map(|filter| self.expr(filter, depth))
                        .transpose()?,
                    body: self.nodes(&each.body, depth)?,
                    otherwise: self.nodes(&each.else_body, depth)?,
                }))
            }
            Stmt::Set(set) => Node::Set {
                name: target(&set.target)?,
                value: self.expr(&set.expr, depth)?,
            },
            Stmt::WithBlock(with) => Node::With {
                values: with
                    .assignments
                    .iter()
                    .map(|(name, value)| Ok((target(name)?, self.expr(value, depth)?)))
                    .collect::<Result<_, Refusal>>()?,
                body: self.nodes(&with.body, depth)?,
            },
            Stmt::SetBlock(set) => {
                return Err(Refusal::new(
                    line(set.span()),
                    "a block {% set %} is not available in templates",
                )
                .hint("Write {% set name = value %}."));
            }
            _ => {
                return Err(Refusal::new(
                    1,
                    "the statement is not available in templates",
                ));
            }
        })
    }

    fn expr(&self, expr: &Ast<'_>, depth: usize) -> Result<Expr, Refusal> {
        let at = line(expr.span());
        if depth > MAX_DEPTH {
            return Err(deep(at));
        }
        let sub = |inner: &Ast<'_>| self.expr(inner, depth + 1);
        let kind = match expr {
            Ast::Const(constant) => self.constant(constant, at)?,
            Ast::Var(name) => Kind::Name(name.id.into()),
            Ast::GetAttr(field) => Kind::Field(sub(&field.expr)?, field.name.into()),
            Ast::GetItem(item) => Kind::Item(sub(&item.expr)?, sub(&item.subscript_expr)?),
            Ast::Slice(slice) => {
                if slice.step.is_some() {
                    return Err(Refusal::new(
                        at,
                        "a slice takes a start and an end, no step",
                    ));
                }
                let bound = |part: &Option<Ast<'_>>| part.as_ref().map(sub).transpose();
                Kind::Slice(sub(&slice.expr)?, bound(&slice.start)?, bound(&slice.stop)?)
            }
            Ast::UnaryOp(unary) => match unary.op {
                ast::UnaryOpKind::Not => Kind::Not(sub(&unary.expr)?),
                ast::UnaryOpKind::Neg => Kind::Negative(sub(&unary.expr)?),
            },
            Ast::BinOp(binary) => {
                binary_operation(binary.op, sub(&binary.left)?, sub(&binary.right)?, at)?
            }
            Ast::Compare(chain) => Kind::Compare(
                sub(&chain.expr)?,
                chain
                    .ops
                    .iter()
                    .map(|op| Ok((comparison(op.op), sub(&op.expr)?)))
                    .collect::<Result<_, Refusal>>()?,
            ),
            Ast::IfExpr(choice) => Kind::Choose {
                condition: sub(&choice.test_expr)?,
                then: sub(&choice.true_expr)?,
                otherwise: choice.false_expr.as_ref().map(sub).transpose()?,
            },
            Ast::Filter(filter) => {
                let Some(inner) = &filter.expr else {
                    return Err(Refusal::new(at, "a filter needs a value"));
                };
                let known = Filter::named(filter.name)
                    .ok_or_else(|| unknown("filter", filter.name, Filter::names(), at))?;
                let arguments = filter.args.iter().map(|argument| match argument {
                    ast::CallArg::Pos(value) => Ok((None, sub(value)?)),
                    ast::CallArg::Kwarg(name, value) => Ok((Some((*name).into()), sub(value)?)),
                    _ => Err(Refusal::new(
                        at,
                        "a filter's arguments are written one by one",
                    )),
                });
                let arguments: Vec<_> = arguments.collect::<Result<_, Refusal>>()?;
                let arguments = known
                    .order(arguments)
                    .map_err(|message| Refusal::new(at, message))?;
                Kind::Filter(known, sub(inner)?, arguments)
            }
            Ast::Test(test) => {
                let known = Test::named(test.name)
                    .ok_or_else(|| unknown("test", test.name, Test::names(), at))?;
                let arguments = self.positional(&test.args, "a test", depth, at)?;
                if arguments.len() != known.arguments() {
                    return Err(Refusal::new(
                        at,
                        format!(
                            "test \"{}\" takes {} arguments",
                            test.name,
                            known.arguments()
                        ),
                    ));
                }
                Kind::Test(known, sub(&test.expr)?, arguments)
            }
            Ast::Call(call) => match &call.expr {
                Ast::Var(name) if name.id == "range" => {
                    let arguments = self.positional(&call.args, "range", depth, at)?;
                    if !(1..=3).contains(&arguments.len()) {
                        return Err(Refusal::new(at, "range takes one to three numbers"));
                    }
                    Kind::Range(arguments)
                }
                Ast::Var(name) => {
                    return Err(Refusal::new(at, format!("function \"{}\" is unknown", name.id))
                        .hint("The only function is range; everything else is a filter: {{ value | filter }}."));
                }
                _ => {
                    return Err(Refusal::new(at, "values have no methods")
                        .hint("Use a filter instead: {{ name | upper }}, {% for key, value in vars | items %}."));
                }
            },
            Ast::List(list) => Kind::List(list.items.iter().map(sub).collect::<Result<_, _>>()?),
            Ast::Map(map) => Kind::Map(
                map.keys
                    .iter()
                    .zip(&map.values)
                    .map(|(key, value)| Ok((sub(key)?, sub(value)?)))
                    .collect::<Result<_, Refusal>>()?,
            ),
        };
        Ok(Expr {
            line: at,
            kind: Box::new(kind),
        })
    }

    fn positional(
        &self,
        arguments: &[ast::CallArg<'_>],
        what: &str,
        depth: usize,
        at: u32,
    ) -> Result<Vec<Expr>, Refusal> {
        let values = arguments.iter().map(|argument| match argument {
            ast::CallArg::Pos(value) => self.expr(value, depth + 1),
            _ => Err(Refusal::new(at, format!("{what} takes no named arguments"))),
        });
        values.collect()
    }

    fn constant(&self, constant: &ast::Spanned<ast::Const>, at: u32) -> Result<Kind, Refusal> {
        let value = &constant.value;
        if value.is_none() {
            return Ok(Kind::None);
        }
        if let Some(text) = value.as_str() {
            if text.contains('\0') {
                return Err(Refusal::new(at, "the text contains a zero character"));
            }
            return Ok(Kind::Text(text.into()));
        }
        if !value.is_number() {
            return Ok(Kind::Bool(value.is_true()));
        }
        // As it is written, so that 0.10 keeps its digits; the value only for spellings such as 1_000 and 0xff.
        let span = constant.span();
        let written = self
            .source
            .get(span.start_offset as usize..span.end_offset as usize)
            .unwrap_or_default();
        if number::is_plain(written) {
            return Ok(Kind::Number(written.into()));
        }
        let spelled_out = value.to_string();
        if number::is_plain(&spelled_out) && value.is_integer() {
            return Ok(Kind::Number(spelled_out.into()));
        }
        Err(
            Refusal::new(at, format!("number {written} is not in plain notation"))
                .hint("Write it as in 1250.00."),
        )
    }
}

fn unknown(
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'static str> + Clone,
    line: u32,
) -> Refusal {
    let hint = did_you_mean(name, known.clone())
        .unwrap_or_else(|| format!("Available are {}.", known.collect::<Vec<_>>().join(", ")));
    Refusal::new(line, format!("{what} \"{name}\" is unknown")).hint(hint)
}

fn target(expr: &Ast<'_>) -> Result<Box<str>, Refusal> {
    match expr {
        Ast::Var(name) => Ok(name.id.into()),
        other => Err(Refusal::new(
            line(other.span()),
            "only a plain name can be given a value",
        )),
    }
}

fn targets(expr: &Ast<'_>) -> Result<Vec<Box<str>>, Refusal> {
    match expr {
        Ast::List(list) => list.items.iter().map(target).collect(),
        single => Ok(vec![target(single)?]),
    }
}

fn comparison(op: ast::CompareOpKind) -> Comparison {
    match op {
        ast::CompareOpKind::Eq => Comparison::Equal,
        ast::CompareOpKind::Ne => Comparison::Unequal,
        ast::CompareOpKind::Lt => Comparison::Less,
        ast::CompareOpKind::Lte => Comparison::LessOrEqual,
        ast::CompareOpKind::Gt => Comparison::Greater,
        ast::CompareOpKind::Gte => Comparison::GreaterOrEqual,
        ast::CompareOpKind::In => Comparison::In,
        ast::CompareOpKind::NotIn => Comparison::NotIn,
    }
}

fn binary_operation(op: ast::BinOpKind, left: Expr, right: Expr, at: u32) -> Result<Kind, Refusal> {
    use ast::BinOpKind as Op;
    let calculate = |operator, left, right| Kind::Calculate(operator, left, right);
    let compare = |comparison, left, right| Kind::Compare(left, vec![(comparison, right)]);
    Ok(match op {
        Op::Eq => compare(Comparison::Equal, left, right),
        Op::Ne => compare(Comparison::Unequal, left, right),
        Op::Lt => compare(Comparison::Less, left, right),
        Op::Lte => compare(Comparison::LessOrEqual, left, right),
        Op::Gt => compare(Comparison::Greater, left, right),
        Op::Gte => compare(Comparison::GreaterOrEqual, left, right),
        Op::In => compare(Comparison::In, left, right),
        Op::ScAnd => Kind::And(left, right),
        Op::ScOr => Kind::Or(left, right),
        Op::Concat => Kind::Concat(left, right),
        Op::Add => calculate(Operator::Plus, left, right),
        Op::Sub => calculate(Operator::Minus, left, right),
        Op::Mul => calculate(Operator::Times, left, right),
        Op::Div => calculate(Operator::Divide, left, right),
        Op::FloorDiv => calculate(Operator::DivideWhole, left, right),
        Op::Rem => calculate(Operator::Remainder, left, right),
        Op::Pow => {
            return Err(Refusal::new(
                at,
                "operator ** is not available in templates",
            ));
        }
    })
}
