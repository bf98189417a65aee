package dlq

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp/syntax"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"

	"orderflow/pkg/flow"
)

// Filter chooses dead letters by an expression in the language of expr-lang.org, less what could take time or memory out of
// proportion to the message: no expression and no message makes it hang. See sieve for what is left out, and why.
//
// Its now is the moment at which it was parsed: however often it is asked, and however late, it says the same of a message.
type Filter struct {
	program *vm.Program
	now     time.Time
}

const (
	maxExpression = 4 << 10 // bytes
	maxNodes      = 500     // of an expression's syntax tree
	maxPattern    = 1000    // instructions of a regular expression
	maxJSON       = 1 << 20 // bytes of a body that is read as JSON; events are no larger
	maxDoubt      = 200     // characters of what is said about a message
)

// facts are the names that an expression can use. A fact that nothing tells is an empty string or map, 0, or nil for a time.
var facts = []struct {
	name string
	is   types.Type
	what string
	of   func(l *Letter, told *told) any
}{
	{"type", types.String, `the event's type, "OrderPlaced"`, func(l *Letter, _ *told) any { return l.Type }},
	{"id", types.String, "the event's id", func(l *Letter, _ *told) any { return l.ID }},
	{"order", types.String, "the order's id", func(l *Letter, _ *told) any { return l.CorrelationID }},
	{"source", types.String, `the service that sent it, "order"`, func(l *Letter, _ *told) any { return l.AppID }},
	{"service", types.String, `the service that gave it up, "payment"`, func(l *Letter, _ *told) any { return l.text(flow.HeaderService) }},
	{"queue", types.String, "the queue it died in", func(l *Letter, _ *told) any { return l.Queue }},
	{"reason", types.String, `why it died, "retries_exhausted"`, func(l *Letter, _ *told) any { return l.Reason }},
	{"error", types.String, "what went wrong last", func(l *Letter, _ *told) any { return l.Error }},
	{"attempts", types.Int, "how often it was handled and failed", func(l *Letter, _ *told) any { return int(l.Attempts) }},
	{"replays", types.Int, "how often it was replayed", func(l *Letter, _ *told) any { return int(l.Replays) }},
	{"first_failed_at", types.TypeOf(time.Time{}), "a time", func(l *Letter, _ *told) any { return known(l.FirstFailedAt) }},
	{"dead_at", types.TypeOf(time.Time{}), "a time", func(l *Letter, _ *told) any { return known(l.DeadAt) }},
	{"age", types.TypeOf(time.Duration(0)), `since dead_at: age > duration("2h30m")`, func(l *Letter, t *told) any {
		if l.DeadAt.IsZero() {
			return nil
		}
		return t.now.Sub(l.DeadAt)
	}},
	{"data", types.Any, "of the event: data.customer_id", func(_ *Letter, t *told) any { return t.data }},
	{"envelope", types.Any, "the whole body as JSON: envelope.time", func(_ *Letter, t *told) any { return t.envelope }},
	{"body", types.String, "as text", func(l *Letter, _ *told) any { return string(l.Body) }},
	{"headers", types.Any, `headers["orderflow-replay-id"]`, func(_ *Letter, t *told) any { return t.headers }},
}

// functions are those of the language that an expression can call. None of them makes more of a value than was there.
var functions = []string{
	"all", "any", "count", "filter", "find", "none", "one", // of a list: any(data.items, .quantity > 5)
	"len", "lower", "upper", "trim", "string", "int", "float", "abs", "now", "date", "duration",
}

// FilterHelp says what an expression can use, for people.
func FilterHelp() string {
	var b strings.Builder
	for _, f := range facts {
		fmt.Fprintf(&b, "  %-16s %s\n", f.name, f.what)
	}
	b.WriteString("Operators: == != < <= > >= and or not in contains startsWith endsWith matches + - * / % ?: ??\nFunctions: ")
	b.WriteString(strings.Join(functions, " "))
	return b.String()
}

// ParseFilter compiles an expression. The error of a wrong one says where it is wrong.
func ParseFilter(expression string) (*Filter, error) {
	if strings.TrimSpace(expression) == "" {
		return nil, errors.New("an expression is missing")
	}
	if len(expression) > maxExpression {
		return nil, fmt.Errorf("an expression of %d bytes is too long, at most %d are allowed", len(expression), maxExpression)
	}
	names := make(types.Map, len(facts))
	for _, f := range facts {
		names[f.name] = f.is
	}
	s := &sieve{source: file.NewSource(expression), now: time.Now()}
	program, err := expr.Compile(expression, expr.Env(names), expr.AsBool(), expr.MaxNodes(maxNodes), expr.Patch(s))
	if err == nil && s.err != nil {
		err = s.err
	}
	if err != nil {
		known := slices.Sorted(maps.Keys(names))
		return nil, fmt.Errorf("%w\nknown are %s", err, strings.Join(known, ", "))
	}
	return &Filter{program: program, now: s.now}, nil
}

// Match tells whether the expression holds for a dead letter. It does not hold where it cannot be evaluated: a field of a field
// that this message lacks, a number compared with a text. The error says so then.
func (f *Filter) Match(l Letter) (bool, error) {
	told := tell(l)
	told.now = f.now
	env := make(map[string]any, len(facts))
	for _, fact := range facts {
		env[fact.name] = fact.of(&l, told)
	}
	result, err := expr.Run(f.program, env)
	var at *file.Error
	if errors.As(err, &at) { // its text may have parts of the message in it
		return false, fmt.Errorf("%.*s (%d:%d)", maxDoubt, at.Message, at.Line, at.Column+1)
	}
	if err != nil {
		return false, err
	}
	return result.(bool), nil // the compiler has seen to that
}

// told is what a letter tells in its body and headers, in maps, lists and plain values, and when it is asked.
type told struct {
	now            time.Time
	envelope, data any
	headers        map[string]any
}

// tell reads a letter. What is no JSON, or too large, is nothing but headers and text.
func tell(l Letter) *told {
	t := &told{envelope: map[string]any{}, data: map[string]any{}, headers: make(map[string]any, len(l.Headers))}
	for name, value := range l.Headers {
		t.headers[name] = value
	}
	if len(l.Body) > maxJSON || json.Unmarshal(l.Body, &t.envelope) != nil {
		return t
	}
	if envelope, ok := t.envelope.(map[string]any); ok && envelope["data"] != nil {
		t.data = envelope["data"]
	}
	return t
}

func known(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}

// sieve refuses what would let a short expression do much with a message. What it lets through takes no more time than the number
// of its nodes times the size of the message, and no more memory:
//
//   - variables, map, reduce and other functions that build values can double a text over and over;
//   - a list in a list's condition, or the message in it, is walked through once for each element;
//   - a pattern that is found in a message, or that counts to a thousand, is a program of somebody else.
//
// It also puts the filter's moment in the place of now().
type sieve struct {
	source file.Source
	now    time.Time
	err    error
}

// Visit implements ast.Visitor.
func (s *sieve) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.VariableDeclaratorNode:
		s.refuse(n, "variables are not supported")
	case *ast.CallNode:
		s.refuse(n, "this cannot be called; functions are %s", strings.Join(functions, ", "))
	case *ast.BuiltinNode:
		switch {
		case !slices.Contains(functions, n.Name):
			s.refuse(n, "%s is not supported; functions are %s", n.Name, strings.Join(functions, ", "))
		case n.Name == "now" && len(n.Arguments) == 0:
			ast.Patch(node, &ast.ConstantNode{Value: s.now})
		}
	case *ast.PredicateNode:
		ast.Walk(&n.Node, inCondition{s})
	case *ast.BinaryNode:
		switch n.Operator {
		case "..":
			s.refuse(n, "ranges are not supported; write x >= 1 and x <= 3")
		case "matches":
			s.pattern(n.Right)
		}
	}
}

// inCondition refuses what a condition on the elements of a list must not do.
type inCondition struct{ *sieve }

// Visit implements ast.Visitor.
func (s inCondition) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		s.refuse(n, "a condition on the elements of a list can look at the element only: .%s is its field", n.Value)
	case *ast.PredicateNode:
		s.refuse(n, "a condition on the elements of a list cannot have another one in it")
	}
}

func (s *sieve) pattern(node ast.Node) {
	text, ok := node.(*ast.StringNode)
	if !ok {
		s.refuse(node, "a pattern must be written out")
		return
	}
	parsed, err := syntax.Parse(text.Value, syntax.Perl)
	if err != nil {
		s.refuse(node, "%v", err)
		return
	}
	if program, err := syntax.Compile(parsed.Simplify()); err != nil || len(program.Inst) > maxPattern {
		s.refuse(node, "this pattern is too large")
	}
}

// refuse notes the first thing that is wrong.
func (s *sieve) refuse(node ast.Node, format string, args ...any) {
	if s.err == nil {
		e := &file.Error{Location: node.Location(), Message: fmt.Sprintf(format, args...)}
		s.err = e.Bind(s.source)
	}
}
