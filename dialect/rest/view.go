package rest

import (
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/dialect"
)

// View words what is known of a task in the form that the request asks for.
func (d *Dialect) View(dst *fasthttp.Response, c *dialect.TaskCall, r *dialect.Reply, own func(dst *fasthttp.Response)) {
	s := d.current.Load().stateOf(c.State)
	var ours *state
	if c.State != nil {
		ours = &s
	}
	hal := s.View == ViewHAL || s.View == "" && c.View&wantsHAL != 0
	form := c.View & formBits
	switch {
	case form == formOver:
		dst.SetStatusCode(fasthttp.StatusNoContent)
		dst.Header.SetNoDefaultContentType(true)
	case c.Do == dialect.CancelTask:
		d.cancelled(dst, &s, c, r, hal)
	case s.View == ViewHAL && c.View&takesNone != 0:
		p := problemOfTask("not-acceptable", fasthttp.StatusNotAcceptable, "Not acceptable: this task is answered as "+typeHAL, r.RequestID)
		p.write(dst)
	case form == formStatus:
		monitored(dst, ours, r, own, time.Now())
	case outcome(ours, r) == running:
		d.pending(dst, c, r, hal && form == formTask)
	case hal && form == formTask && c.Hop == 0:
		d.halEnd(dst, &s, outcome(ours, r), r, own)
	default:
		ends(dst, own)
	}
	dst.Header.Set("Vary", vary)
}

// pending words a task that runs. A client that was sent here is sent on.
func (d *Dialect) pending(dst *fasthttp.Response, c *dialect.TaskCall, r *dialect.Reply, hal bool) {
	sent := c.Hop > 0 || c.View&wantsNext != 0
	switch {
	case sent && c.Wait > 0 && c.Hop < MostHops:
		d.sendOn(dst, r, c.Hop+1, seconds(c.Wait))
	case hal && c.Hop == 0:
		setRetryAfter(dst, r)
		d.halRunning(dst, r)
	default:
		dst.SetStatusCode(fasthttp.StatusAccepted)
		d.locate(dst, r)
		setRetryAfter(dst, r)
		d.running(dst, r)
	}
}

// ends gives the reply itself, as its client got it or would have.
func ends(dst *fasthttp.Response, own func(dst *fasthttp.Response)) {
	own(dst)
	dst.Header.Del("Location")
	dst.Header.Del("Preference-Applied") // of the request that made the task
}

// halEnd words a task that is over in hal+json: it names the result, or it is the problem.
func (d *Dialect) halEnd(dst *fasthttp.Response, s *state, is how, r *dialect.Reply, own func(dst *fasthttp.Response)) {
	if is == succeeded {
		dst.SetStatusCode(fasthttp.StatusSeeOther)
		dst.Header.Set("Location", d.taskURL(r.Task, "/result"))
		writeJSON(dst, typeHAL, &halBody{
			Links: halLinks{Self: halLink{taskPath + r.Task}, Result: halLink{taskPath + r.Task + "/result"}}, Message: "The task has succeeded",
		})
		return
	}
	reply := worded(own)
	defer fasthttp.ReleaseResponse(reply)
	status := reply.StatusCode()
	p := problemOfHAL(reply, is, r.RequestID)
	p.write(dst)
	if s.FailedStatus {
		dst.SetStatusCode(status)
	} else {
		dst.SetStatusCode(fasthttp.StatusOK)
	}
}

// problemOfHAL makes a problem of a reply that may be what an engine says.
func problemOfHAL(reply *fasthttp.Response, is how, requestID string) problem {
	name := "engine-error"
	if is == cancelled {
		name = "cancelled"
	}
	return problemOfTask(name, reply.StatusCode(), monitorErrorOf(reply, name).Message, requestID)
}

// cancelled answers who wants a task to end.
func (d *Dialect) cancelled(dst *fasthttp.Response, s *state, c *dialect.TaskCall, r *dialect.Reply, hal bool) {
	switch {
	case c.Ended:
		p := problemOfTask("task-over", fasthttp.StatusConflict, "The task was over before it could be cancelled", r.RequestID)
		s.write(dst, &p)
		return
	case hal:
		writeJSON(dst, typeHAL, &halBody{Links: halLinks{Self: halLink{taskPath + r.Task}}, Message: "The task is cancelled"})
	default:
		writeJSON(dst, typeJSON, &runningTask{ID: r.Task, Status: "cancelled"})
	}
	dst.SetStatusCode(fasthttp.StatusAccepted)
	d.locate(dst, r)
}
