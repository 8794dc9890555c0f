package openapi

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// sharedAnswer is an answer that stands in several places.
type sharedAnswer struct {
	count int
	name  string // under components.responses; empty: it has none yet
}

// operationsOf calls f with the answers of each operation of some paths, of callbacks too.
func operationsOf(paths *yaml.Node, f func(answers *yaml.Node)) {
	for i := 1; i < len(paths.Content); i += 2 {
		for j := 1; j < len(paths.Content[i].Content); j += 2 {
			op := paths.Content[i].Content[j]
			if answers := member(op, "responses"); answers != nil {
				f(answers)
			}
			if callbacks := member(op, "callbacks"); callbacks != nil {
				for k := 1; k < len(callbacks.Content); k += 2 {
					operationsOf(callbacks.Content[k], f)
				}
			}
		}
	}
}

// countAnswers counts how often each answer stands in the description.
func (b *builder) countAnswers(paths *yaml.Node) {
	operationsOf(paths, func(answers *yaml.Node) {
		for i := 0; i+1 < len(answers.Content); i += 2 {
			key := keyOf(answers.Content[i].Value, answers.Content[i+1])
			if b.shared[key] == nil {
				b.shared[key] = new(sharedAnswer)
			}
			b.shared[key].count++
		}
	})
}

func keyOf(status string, answer *yaml.Node) string {
	text, _ := appendJSON(nil, answer, "") // what is made here has no parts that JSON has not
	return status + string(text)
}

// shareAnswers makes those that stand in several places parts of the description.
func (b *builder) shareAnswers(paths *yaml.Node) {
	operationsOf(paths, func(answers *yaml.Node) {
		for i := 0; i+1 < len(answers.Content); i += 2 {
			status := answers.Content[i].Value
			s := b.shared[keyOf(status, answers.Content[i+1])]
			if s.count < 2 {
				continue
			}
			if s.name == "" {
				s.name = b.answerName(status)
				b.own("responses", s.name, answers.Content[i+1])
			}
			answers.Content[i+1] = refTo("responses", s.name)
		}
	})
}

// answerName gives a name that no answer has yet.
func (b *builder) answerName(status string) string {
	if status == "default" {
		status = "Default"
	}
	name := "Answer" + status
	for n := 2; b.used["responses/"+name] != nil; n++ {
		name = "Answer" + status + "_" + strconv.Itoa(n)
	}
	return name
}

// compact writes small mappings and lists on one line.
func compact(n *yaml.Node) {
	const most = 90 // characters
	small, size := len(n.Content) > 0, 0
	for _, c := range n.Content {
		compact(c)
		small = small && c.Kind == yaml.ScalarNode && !strings.Contains(c.Value, "\n")
		size += utf8.RuneCountInString(c.Value) + 2
	}
	if small && size < most {
		n.Style |= yaml.FlowStyle
	}
}
