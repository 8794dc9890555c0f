package httpserver

import "github.com/valyala/fasthttp"

func (x Exchange) SetWaiter(w Waiter) (gone bool)      { return true }
func (x Exchange) Begin(resp *fasthttp.Response) bool { return false }
func (x Exchange) Send(piece []byte) bool             { return false }
func (x Exchange) End()                               {}
