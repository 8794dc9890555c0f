// Package notify sends notifications.
package notify
