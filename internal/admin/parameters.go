package admin

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"
)

// parameters are those of a request's query, each of them once. The first that is wrong answers 400.
type parameters struct {
	ctx    *fasthttp.RequestCtx
	values map[string]string
	wrong  string // what is wrong; empty: nothing
}

// parametersOf reads the parameters of a request. False: one is unknown, or there more than once, which is answered.
func (h *Handler) parametersOf(ctx *fasthttp.RequestCtx, names ...string) (p *parameters, ok bool) {
	p = &parameters{ctx: ctx, values: make(map[string]string)}
	for key, value := range ctx.QueryArgs().All() {
		name := string(key)
		_, twice := p.values[name]
		switch {
		case !slices.Contains(names, name) && len(names) == 0:
			p.wrong = "it has a parameter, and there is none here"
		case !slices.Contains(names, name):
			p.wrong = "it has a parameter that there is not; there are " + strings.Join(names, ", ")
		case twice:
			p.wrong = name + " is there more than once"
		}
		p.values[name] = string(value)
	}
	return p, !p.refused()
}

// refused answers 400 if something is wrong.
func (p *parameters) refused() bool {
	if p.wrong != "" {
		p.ctx.Error("Incorrect request: "+p.wrong, fasthttp.StatusBadRequest)
	}
	return p.wrong != ""
}

// refuse says that something is wrong. What was wrong before stays.
func (p *parameters) refuse(wrong string) {
	if p.wrong == "" {
		p.wrong = wrong
	}
}

// word gives a parameter that is one of some words; otherwise where it is not there.
func (p *parameters) word(name, otherwise string, words ...string) string {
	value, there := p.values[name]
	switch {
	case !there:
		return otherwise
	case !slices.Contains(words, value):
		p.refuse(name + " must be one of " + strings.Join(words, ", "))
	}
	return value
}

// text gives a parameter of any value that is not empty; empty where it is not there.
func (p *parameters) text(name string) string {
	value, there := p.values[name]
	if there && value == "" {
		p.refuse(name + " is empty: leave it out for any")
	}
	return value
}

// number gives a parameter that is a whole number within limits; otherwise where it is not there.
func (p *parameters) number(name string, otherwise, least, most int) int {
	value, there := p.values[name]
	if !there {
		return otherwise
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		p.refuse(fmt.Sprintf("%s must be a whole number from %d to %d", name, least, most))
		return otherwise
	}
	return n
}
